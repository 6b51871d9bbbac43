"""What a release consists of agrees: versions, dependencies, and workflows that run only what is pinned."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import flowseg

ROOT = Path(__file__).parents[1]
if not (ROOT / ".github").exists():
    pytest.skip("no checkout", allow_module_level=True)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# What conda-forge calls otherwise.
CONDA_NAMES = {"lazy_loader": "lazy-loader"}
NETWORKS = {"tensorflow", "keras"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(lines):
    """Names and versions that hold for Python 3.13 on Linux."""
    at = {"python_version": "3.13", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    found = [Requirement(line) for line in lines]
    return {(one.name, str(one.specifier)) for one in found if one.marker is None or one.marker.evaluate(at)}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("pyproject.toml", r'^version = "(.+)"$'),
        ("CITATION.cff", r"^version: (.+)$"),
        ("recipe/recipe.yaml", r'^  version: "(.+)"$'),
        ("CHANGELOG.md", r"^## (\S+)"),
    ],
)
def test_the_version_is_the_same_everywhere(name, pattern):
    assert re.search(pattern, read(name), re.MULTILINE)[1] == flowseg.__version__


def test_the_conda_recipe_has_the_same_dependencies(project):
    run = read("recipe/recipe.yaml").split("\n  run:\n")[1].split("\n\n")[0]
    lines = [line.strip().removeprefix("- ").replace(" ", "") for line in run.splitlines()]
    listed = [
        line for line in project["dependencies"] if "python_version >=" not in line
    ]  # one package serves them all
    expected = {(CONDA_NAMES.get(name, name), version) for name, version in requirements(listed)}
    assert requirements(lines) == {("python", "")} | expected


def test_wheels_are_tested_with_the_same_dependencies_but_the_networks(project):
    lines = [line for line in read(".ci/without_networks.txt").splitlines() if not line.startswith("#")]
    tests = requirements(project["optional-dependencies"]["test"])
    expected = {one for one in requirements(project["dependencies"]) if one[0] not in NETWORKS}
    assert requirements(lines) - tests == expected


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_only_pinned_actions_with_few_rights(workflow):
    text = workflow.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+) # v\d", text)
    assert len(used) == text.count("uses: ") > 0
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert "\npermissions: {}\n" in text
    rights = set(re.findall(r"^      ([\w-]+: (?:read|write))", text, re.MULTILINE))
    assert rights <= {"contents: read", "id-token: write"}
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
