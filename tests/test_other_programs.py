"""The files for other programs: every `flowseg` command in them is one that this version takes."""

import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import typer

from flowseg.cli import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "integrations"
if not FOLDER.exists():
    pytest.skip("no checkout", allow_module_level=True)
# Stands for values that the program fills in, numbers and names of files.
VALUE = "1"


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def list_items(text):
    """Tokens of a list of quoted words and expressions with commas between."""
    quoted = [re.fullmatch(r'"([^"$]*)"', item.strip()) for item in text.split(",")]
    return [VALUE if word is None else word[1] for word in quoted]


def qupath():
    yield list_items(re.search(r"\[FLOWSEG, (.*?)\]\n", read("qupath/flowseg_region.groovy"), re.DOTALL)[1])


def fiji():
    yield list_items(re.search(r"exec\(flowseg, (.*?)\);", read("fiji/flowseg_image.ijm"), re.DOTALL)[1])


def galaxy():
    text = ElementTree.fromstring(read("galaxy/flowseg_predict.xml")).findtext("command")
    text = re.sub(r"^#.*$", "", text.split("\nflowseg ")[1], flags=re.MULTILINE)
    yield shlex.split(re.sub(r"\\?\$\{?[\w.:-]+\}?", VALUE, text))


def snakemake():
    for shell in re.findall(r"shell:\n((?:\s+\".*\"\n)+)", read("snakemake/Snakefile")):
        command = "".join(re.findall(r'"(.*)"', shell))
        yield shlex.split(re.sub(r"\{[\w.]+\}", VALUE, command).removeprefix("flowseg "))


def nextflow():
    (command,) = re.findall(r"^    flowseg (.*)$", read("nextflow/main.nf"), re.MULTILINE)
    yield shlex.split(re.sub(r"\$\{[\w.]+\}", VALUE, command))


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        (qupath, ["predict"]),
        (fiji, ["predict"]),
        (galaxy, ["predict"]),
        (snakemake, ["train", "predict", "measure"]),
        (nextflow, ["predict"]),
    ],
)
def test_commands_are_understood(commands, names):
    found = list(commands())
    assert [words[0] for words in found] == names
    for words in found:
        command = typer.main.get_command(app).commands[words[0]]
        context = command.make_context(words[0], list(words[1:]))
        assert context.params["output"] is not None
        if words[0] == "predict":
            assert context.params["model"] is not None
            assert context.params["overlay"] is False


@pytest.mark.parametrize(
    ("file", "result"),
    [
        ("qupath/flowseg_region.groovy", "region_${k}.geojson"),
        ("fiji/flowseg_image.ijm", "region_rois.zip"),
        ("galaxy/flowseg_predict.xml", "results/image_objects.csv"),
        ("nextflow/main.nf", "*_objects.csv"),
        ("snakemake/Snakefile", "{name}_masks.tif"),
    ],
)
def test_results_are_looked_for_under_the_names_that_are_written(file, result):
    from flowseg.io._results import ENDINGS

    assert result in read(file)
    assert any(result.endswith(ending) for ending in ENDINGS.values())


def test_the_version_of_the_galaxy_tool():
    import flowseg

    assert f">{flowseg.__version__}</token>" in read("galaxy/flowseg_predict.xml")
