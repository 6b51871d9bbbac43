"""The rules of the house: imports go one way, package code neither prints nor asserts, `import flowseg` is quick."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowseg

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT / "benchmarks"))
import house  # noqa: E402 (benchmarks are no package)

HOUSE = house.House(CHECKOUT)
# What each package, and each module beside them, may import of flowseg.
MAY_IMPORT = {
    "_checks": set(),
    "_system": set(),
    "_padding": set(),
    "_intensities": {"_checks", "_padding"},
    "_images": {"_checks", "_intensities"},
    "synthetic": {"_checks"},
    "_labels": {"_checks", "_diffusion", "_system"},
    "metrics": {"_checks", "_labels"},
    "_flows": {"_checks", "_diffusion", "_labels", "_system"},
    "_image_files": {"_checks", "_labels", "_system"},
    "_nets": {"_checks", "_flows", "_images", "_intensities", "_labels", "_system"},
    "_segmenters": {"_checks", "_flows", "_intensities", "_labels", "_nets", "_padding", "_system", "metrics"},
    "plot": {"_checks", "_images", "_labels", "_system", "metrics"},
    "io": {"_checks", "_flows", "_image_files", "_labels", "_system", "plot"},
    "datasets": {"io"},
    "blockwise": {
        "_padding",
        "_checks",
        "_diffusion",
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
    "_export": {"_checks", "_images", "_intensities", "_nets", "_segmenters", "_system", "plot"},
    "_report": {"_images", "_labels", "_system", "metrics"},
    "_compare": {"_checks", "_labels", "_nets", "_report", "_segmenters", "_system"},
    "_suggest": {"_checks", "_labels", "_segmenters"},
    "_curve": {"_checks", "_compare", "_labels", "_nets", "_report", "_segmenters", "_system"},
}
ALL = {*MAY_IMPORT, "_diffusion"}
MAY_IMPORT |= {"cli": ALL, "_napari": ALL, "__main__": {"cli"}}
MODULES = [module for module in HOUSE.modules if not module.endswith("__init__.py")]


def over(most, counts):
    """Return the places where there are more than allowed."""
    return [f"{place}: {n}" for place, n in counts.items() if n > most]


def package_of(module):
    return module.removesuffix(".py").split("/")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_what_it_may(package):
    assert HOUSE.arrows()[package] <= MAY_IMPORT[package]


def test_packages_have_no_circles():
    assert house.find_circle(MAY_IMPORT | {"_diffusion": set()}) == []


def test_folders_are_small():
    folders = HOUSE.folders()
    assert folders["."] <= 8
    assert over(20, folders) == []


def test_one_underscore_on_the_way():
    for module in MODULES:
        names = module.removesuffix(".py").split("/")
        public = names[0] in ("metrics", "synthetic", "__main__")
        assert public or sum(name.startswith("_") for name in names) == 1, module


@pytest.mark.parametrize("module", MODULES)
def test_keras_and_napari_stay_in_their_packages(module):
    names = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(HOUSE.modules[module])
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "tensorflow" not in names  # Keras 3 terms only: TensorFlow is one backend of several
    assert "keras" not in names or package_of(module) == "_nets"
    assert not names & {"napari", "qtpy"} or package_of(module) == "_napari"


FRONT_ENDS = [
    module for module in MODULES if package_of(module) in ("cli", "_compare", "_curve", "_napari", "_report", "plot")
]


@pytest.mark.parametrize("module", FRONT_ENDS)
def test_front_ends_ask_segmenters_for_nothing_private(module):
    for node in ast.walk(HOUSE.modules[module]):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), f"{ast.unparse(node)} in line {node.lineno}"
            assert node.value.id not in ("segmenter", "model", "other", "pipeline"), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            assert ast.unparse(node.args[0]) not in ("segmenter", "self.segmenter", "model"), f"line {node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_pictures_and_matlab_files_have_one_reader(module):
    text = HOUSE.texts[module]
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


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name.startswith("cli/") and not name.endswith("/terminal.py")]
)
def test_commands_print_in_one_place(module):
    """There text from files is escaped, so that it cannot control the terminal."""
    called = {ast.unparse(node.func) for node in ast.walk(HOUSE.modules[module]) if isinstance(node, ast.Call)}
    assert not called & {"typer.echo", "typer.secho", "print", "sys.stdout.write", "sys.stderr.write"}


STEPS = ("parse", "find", "plan", "run", "report")
COMMANDS = (
    "check",
    "mend",
    "convert",
    "train",
    "tune",
    "predict",
    "evaluate",
    "compare",
    "curve",
    "suggest",
    "measure",
    "flows",
    "export",
    "info",
)
BLOCKS_COMMANDS = ("blocks plan", "blocks run", "blocks finish")


@pytest.mark.parametrize("command", COMMANDS + BLOCKS_COMMANDS)
def test_commands_take_the_same_steps(command):
    """Parse, find, plan, run, report: as the names of the functions that a command calls show."""
    module, name = f"cli/_{command.split()[0]}.py", command.split()[-1]
    (body,) = [node for node in HOUSE.modules[module].body if getattr(node, "name", "") == name]
    calls = [node for node in ast.walk(body) if isinstance(node, ast.Call)]
    named = [(node.lineno, ast.unparse(node.func).split(".")[-1].lstrip("_").split("_")[0]) for node in calls]
    steps = [STEPS.index(name) for _, name in sorted(named) if name in STEPS]
    assert steps == sorted(steps), [STEPS[step] for step in steps]
    assert {STEPS.index("find"), STEPS.index("report")} <= {*steps}


def test_files_and_functions_are_small():
    assert over(350, HOUSE.file_lengths()) == []
    assert over(50, HOUSE.body_lengths()) == []
    assert over(15, HOUSE.complexities()) == []
    assert over(8, HOUSE.parameters()) == []
    assert house.p99(HOUSE.parameters()) <= 6


def test_no_code_stands_in_two_places():
    assert HOUSE.duplicates() == []


def test_repeated_code_is_found(tmp_path):
    lines = [f"    value = compute({k})" for k in range(house.REPEATED)]
    for name, n in (("one", 6), ("two", 6), ("three", 5)):
        (tmp_path / "flowseg").mkdir(exist_ok=True)
        (tmp_path / "flowseg" / f"{name}.py").write_text("\n".join([f"def {name}():", f'    """{name}"""', *lines[:n]]))
    assert house.House(tmp_path).duplicates() == [["one.py:3", "two.py:3"]]


def test_functions_name_their_parameters():
    assert [place for place, node in HOUSE.functions() if node.args.kwarg is not None] == []


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


def test_the_command_starts_without_what_it_may_not_need():
    slow = ("keras", "sklearn", "pandas", "matplotlib", "scipy.signal", "scipy.stats", "scipy.optimize", "zarr", "dask")
    assert run(f"import sys, flowseg.cli; print([name for name in {slow} if name in sys.modules])").strip() == "[]"


def test_public_names():
    assert set(flowseg.__all__) <= set(dir(flowseg))
    for name in flowseg.__all__:
        assert getattr(flowseg, name).__doc__
    with pytest.raises(AttributeError, match="nothing"):
        flowseg.nothing  # noqa: B018


def test_version_is_said_once():
    import tomllib

    project = CHECKOUT / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == flowseg.__version__
