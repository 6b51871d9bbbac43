"""The rules of the house: imports go one way, package code neither prints nor asserts, `import flowseg` is quick."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowseg

PACKAGE = Path(flowseg.__file__).parent
LEVELS = [
    {"_diffusion"},
    {
        "_anatomy",
        "_annotation_files",
        "_bars",
        "_basins",
        "_candidates",
        "_cellpose_files",
        "_charts",
        "_checks",
        "_closing",
        "_coco",
        "_coco_segments",
        "_codec_sizes",
        "_codecs",
        "_colouring",
        "_colours",
        "_cvat",
        "_decoding",
        "_doctor",
        "_document_checks",
        "_drawing",
        "_duplicates",
        "_dynamics",
        "_entries",
        "_figures",
        "_files",
        "_flows",
        "_following",
        "_geojson",
        "_image_files",
        "_image_parts",
        "_image_source",
        "_images",
        "_inputs",
        "_intensities",
        "_intervals",
        "_labkit",
        "_locks",
        "_masks",
        "_mat_files",
        "_memory",
        "_mending",
        "_merging",
        "_names",
        "_noise",
        "_numbering",
        "_objects",
        "_ome_sets",
        "_optional",
        "_overlaps",
        "_parallel",
        "_paths",
        "_pictures",
        "_pieces",
        "_pixel_size",
        "_planes",
        "_polygons",
        "_pretrained",
        "_quality",
        "_registration",
        "_reliability",
        "_report",
        "_report_objects",
        "_report_page",
        "_report_picture",
        "_result_files",
        "_result_kinds",
        "_roi",
        "_roi_shapes",
        "_scaled",
        "_selection",
        "_sizes",
        "_scenes",
        "_shown",
        "_strict_json",
        "_tables",
        "_tensor_files",
        "_threads",
        "_thresholds",
        "_tidy",
        "_tiff_declared",
        "_tiff_files",
        "_tiff_planes",
        "_tiles",
        "_vendor_files",
        "_xml",
        "io",
        "metrics",
        "plot",
        "synthetic",
    },
    {
        "_batches",
        "_checkpoint",
        "_losses",
        "_machine",
        "_networks",
        "_own_networks",
        "_prediction",
        "_progress",
        "_step_progress",
        "_training",
    },
    {
        "_boundary_segmenter",
        "_choosing",
        "_decoding_parameters",
        "_estimator",
        "_flow_segmenter",
        "_model_document",
        "_predictor",
        "_saving",
        "_segmenters",
        "_stored",
    },
    {
        "_cli_annotations",
        "_cli_batch",
        "_cli_check",
        "_cli_commands",
        "_cli_convert",
        "_cli_evaluate",
        "_cli_files",
        "_cli_flows",
        "_cli_inputs",
        "_cli_measure",
        "_cli_mend",
        "_cli_model",
        "_cli_options",
        "_cli_predict",
        "_cli_progress",
        "_cli_record",
        "_cli_rescue",
        "_cli_say",
        "_cli_signals",
        "_cli_sources",
        "_cli_stacks",
        "_cli_stream",
        "_cli_summary",
        "_cli_train",
        "_cli_train_options",
        "_cli_tune",
        "_demo",
        "_napari_boxes",
        "_napari_child",
        "_napari_correct",
        "_napari_edit",
        "_napari_export",
        "_napari_files",
        "_napari_jobs",
        "_napari_layers",
        "_napari_model_files",
        "_napari_models",
        "_napari_notes",
        "_napari_outputs",
        "_napari_process",
        "_napari_quality",
        "_napari_results",
        "_napari_sample",
        "_napari_segment",
        "_napari_thresholds",
        "_napari_tools",
        "_napari_train",
        "_napari_widget",
        "__main__",
        "_quiet",
        "cli",
    },
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
MODULES = sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__")


def tree(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def imported(module):
    """Names of flowseg's own modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "flowseg":
            found |= {flowseg._HOME.get(alias.name, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowseg."):
            found.add(node.module.split(".")[1])
    return found - {"__version__"}


def test_every_module_has_a_level():
    assert set(MODULES) | {"_diffusion"} == set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    above = [name for name in imported(module) if LEVEL[name] > LEVEL[module]]
    assert not above


def test_no_circles():
    done = set()

    def visit(module, way):
        assert module not in way, " -> ".join([*way, module])
        if module not in done and module != "_diffusion":
            for other in imported(module):
                visit(other, [*way, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize("module", MODULES)
def test_keras_is_used_on_its_level_only(module):
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "tensorflow" not in names  # Keras 3 terms only: TensorFlow is one backend of several
    assert "keras" not in names or LEVEL[module] == 2
    assert not names & {"napari", "qtpy"} or module.startswith("_napari")


@pytest.mark.parametrize("module", MODULES)
def test_pictures_and_matlab_files_have_one_reader(module):
    text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("module", MODULES)
def test_sizes(module):
    text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - start.lineno < 55, node.name
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg.arg}"


@pytest.mark.parametrize("module", [name for name in MODULES if "cli" in name and name != "_cli_say"])
def test_commands_say_things_in_one_place(module):
    """There names of files are shown so that they do nothing to a terminal."""
    called = {ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}
    assert not called & {"typer.echo", "typer.secho", "print", "sys.stdout.write", "sys.stderr.write"}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_array_functions_do_not_need_keras():
    code = (
        "import sys, numpy as np, flowseg\n"
        "image, masks = flowseg.synthetic.cells((40, 40), 3, rng=0)\n"
        "flows = flowseg.masks_to_flows(masks)\n"
        "flowseg.flows_to_masks(flows, np.where(masks > 0, 1.0, -1.0)); flowseg.metrics.match(masks, masks)\n"
        "flowseg.normalize(image); flowseg.plot.flow_colours(flows); flowseg.io.find_files\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_an_unfitted_estimator_does_not_load_keras():
    code = "import sys, flowseg; flowseg.FlowSegmenter(epochs=1); print('keras' in sys.modules)"
    assert run(code).strip() == "False"


def test_public_names():
    assert set(flowseg.__all__) <= set(dir(flowseg))
    for name in flowseg.__all__:
        assert getattr(flowseg, name).__doc__
    with pytest.raises(AttributeError, match="module 'flowseg' has no attribute 'nothing'"):
        flowseg.nothing  # noqa: B018


def test_version_is_said_once():
    import tomllib

    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("no checkout")
    assert tomllib.loads(project.read_text())["project"]["version"] == flowseg.__version__
