"""Names in the documentation are those of things that are there; its table of columns is complete."""

import re
from pathlib import Path

import numpy as np
import pytest

import flowseg

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
if not DOCS.exists():
    pytest.skip("no checkout", allow_module_level=True)

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [*DOCS.rglob("*.rst"), *ROOT.glob("*.md")]
    if "generated" not in page.parts
)
# Files that a page may name: those of the repository, from its root or, of modules, from the package.
FILE = re.compile(
    r"`((?:flowseg|docs|tests|benchmarks|_\w+|kernels|io|cli|plot)/[\w./]+\.(?:py|pyx|pyi|pxi|h|rst|txt))`"
)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_are_there(page):
    names = [*FILE.findall(read(page)), *LINK.findall(read(page))]
    assert [name for name in names if not (ROOT / name).exists() and not (ROOT / "flowseg" / name).exists()] == []


def test_code_names_pages_that_are_there():
    named = {
        name
        for folder in ("flowseg", "tests", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"docs/[\w/]+\.(?:rst|csv|png)", file.read_text(encoding="utf-8"))
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_column_is_explained():
    masks = np.zeros((20, 20), dtype=np.int32)
    masks[2:8, 2:9] = 1
    table = flowseg.measure(masks, np.ones((20, 20)), spacing=(0.5, 0.5))
    text = read("docs/reference/columns.rst")
    assert [name for name in table if f"``{name}``" not in text] == []


def test_the_changelog_is_short():
    assert read("CHANGELOG.md").count("\n- ") <= 30
    assert read("README.md").count("\n") <= 90
