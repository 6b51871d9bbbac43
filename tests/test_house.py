"""The rules of the house: imports go one way, package code neither prints nor asserts, `import flowseg` is quick."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowseg

PACKAGE = Path(flowseg.__file__).parent
# What each package, and each module beside them, may import of flowseg.
MAY_IMPORT = {
    "_checks": set(),
    "_system": set(),
    "_intensities": {"_checks"},
    "_images": {"_checks", "_intensities"},
    "synthetic": {"_checks"},
    "_labels": {"_checks", "_diffusion", "_system"},
    "metrics": {"_checks", "_labels"},
    "_flows": {"_checks", "_diffusion", "_labels", "_system"},
    "_image_files": {"_checks", "_labels", "_system"},
    "_nets": {"_checks", "_flows", "_images", "_intensities", "_labels", "_system"},
    "_segmenters": {"_checks", "_flows", "_intensities", "_labels", "_nets", "_system", "metrics"},
    "plot": {"_checks", "_images", "_labels", "_system", "metrics"},
    "io": {"_checks", "_flows", "_image_files", "_labels", "_system", "plot"},
    "blockwise": {
        "_checks",
        "_flows",
        "_image_files",
        "_images",
        "_intensities",
        "_labels",
        "_nets",
        "_segmenters",
        "_system",
        "io",
        "metrics",
    },
    "_report": {"_images", "_labels", "_system", "metrics"},
}
ALL = {*MAY_IMPORT, "_diffusion"}
MAY_IMPORT |= {"cli": ALL, "_napari": ALL, "__main__": {"cli"}}
MAX_MODULES, MAX_MODULES_AT_THE_TOP = 20, 8
MODULES = sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if file.name != "__init__.py")
STUB = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
HOME = {
    a.name: node.module for node in STUB.body if isinstance(node, ast.ImportFrom) and node.module for a in node.names
}


def tree(module):
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def package_of(module):
    return module.removesuffix(".py").split("/")[0]


def imported(module):
    """Flowseg's modules that a module imports, anywhere in it, as paths with dots."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "flowseg":
            yield from (HOME.get(alias.name, alias.name) for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowseg."):
            yield node.module.removeprefix("flowseg.")


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_what_it_may(module):
    package = package_of(module)
    others = {name.lstrip(".").split(".")[0] for name in imported(module)} - {package}
    assert others <= MAY_IMPORT[package]


def test_packages_have_no_circles():
    done = set()

    def visit(package, way):
        assert package not in way, " -> ".join([*way, package])
        if package not in done:
            for other in MAY_IMPORT.get(package, ()):
                visit(other, [*way, package])
            done.add(package)

    for package in MAY_IMPORT:
        visit(package, [])


def test_folders_are_small():
    for folder in {PACKAGE, *((PACKAGE / module).parent for module in MODULES)}:
        modules = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(modules) <= (MAX_MODULES_AT_THE_TOP if folder == PACKAGE else MAX_MODULES), folder


def test_one_underscore_on_the_way():
    for module in MODULES:
        names = module.removesuffix(".py").split("/")
        public = names[0] in ("metrics", "synthetic", "__main__")
        assert public or sum(name.startswith("_") for name in names) == 1, module


@pytest.mark.parametrize("module", MODULES)
def test_keras_and_napari_stay_in_their_packages(module):
    names = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "tensorflow" not in names  # Keras 3 terms only: TensorFlow is one backend of several
    assert "keras" not in names or package_of(module) == "_nets"
    assert not names & {"napari", "qtpy"} or package_of(module) == "_napari"


FRONT_ENDS = [module for module in MODULES if package_of(module) in ("cli", "_napari", "_report", "plot")]


@pytest.mark.parametrize("module", FRONT_ENDS)
def test_front_ends_ask_segmenters_for_nothing_private(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), f"{ast.unparse(node)} in line {node.lineno}"
            assert node.value.id not in ("segmenter", "model", "other", "pipeline"), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            assert ast.unparse(node.args[0]) not in ("segmenter", "self.segmenter", "model"), f"line {node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_pictures_and_matlab_files_have_one_reader(module):
    text = (PACKAGE / module).read_text(encoding="utf-8")
    # Pillow's `open` goes by content and may start programs; readers of others trust what a file says.
    for name in (
        r"\bImage\.open\(",
        r"\bloadmat\(",
        r"\bimread\(",
        r"\bimageio\b",
        r"ElementTree\.fromstring",
        r"\bpickle\.load",
    ):
        assert not re.search(name, text), name


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("cli/") and "/say" not in name])
def test_commands_say_things_in_one_place(module):
    """There names of files are shown so that they do nothing to a terminal."""
    called = {ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}
    assert not called & {"typer.echo", "typer.secho", "print", "sys.stdout.write", "sys.stderr.write"}


@pytest.mark.parametrize("module", MODULES)
def test_sizes(module):
    text = (PACKAGE / module).read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - start.lineno < 55, node.name
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg.arg}"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_array_functions_need_neither_keras_nor_readers_of_files():
    code = (
        "import sys, numpy as np, flowseg\n"
        "image, masks = flowseg.synthetic.cells((40, 40), 3, rng=0)\n"
        "flows = flowseg.masks_to_flows(masks)\n"
        "flowseg.flows_to_masks(flows, np.where(masks > 0, 1.0, -1.0)); flowseg.metrics.match(masks, masks)\n"
        "flowseg.normalize(image)\n"
        "files = [name for name in ('tifffile', 'PIL', 'safetensors') if name in sys.modules]\n"
        "flowseg.plot.flow_colors(flows); flowseg.io.find_files\n"
        "print(files + [name for name in ('tensorflow', 'keras', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_an_unfitted_estimator_does_not_load_keras():
    code = "import sys, flowseg; flowseg.FlowSegmenter(epochs=1); print('keras' in sys.modules)"
    assert run(code).strip() == "False"


def test_public_names():
    assert set(flowseg.__all__) <= set(dir(flowseg))
    for name in flowseg.__all__:
        assert getattr(flowseg, name).__doc__
    with pytest.raises(AttributeError, match="nothing"):
        flowseg.nothing  # noqa: B018


def test_version_is_said_once():
    import tomllib

    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("no checkout")
    assert tomllib.loads(project.read_text())["project"]["version"] == flowseg.__version__
