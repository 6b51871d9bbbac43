"""``flowseg blocks``: plan, run and finish a segmentation in parts; its stages here compute next to nothing."""

import json
import subprocess
import sys
from functools import partial

import pytest
from blockwise_dummies import PLAN, contents, stages_of, with_settings
from cli_tools import invoke, run_here

from flowseg import blockwise
from flowseg.blockwise._runs.job import start_job, work_folder_of
from flowseg.cli._shared.option_values import parse_part


@pytest.fixture(autouse=True)
def dummies(monkeypatch):
    monkeypatch.setattr(blockwise, "run_part", partial(blockwise.run_part, stages=stages_of))
    monkeypatch.setattr(blockwise, "finish", partial(blockwise.finish, stages=stages_of))


def plan_run(top, plan=PLAN):
    return start_job(work_folder_of(top / "out.zarr"), plan, resume=False).folder


def test_parts_one_after_the_other(tmp_path):
    """The second part of two does the blocks of the first, which has not come yet, and the first has nothing to do."""
    folder, output = plan_run(tmp_path), tmp_path / "out.zarr"
    result = run_here("blocks", "run", output, "--part", "2/2", "--timeout", 0.2)
    assert result.stdout == f"all 63 blocks are done; next: flowseg blocks finish {output}\n"
    assert result.stderr.splitlines() == [
        "numbers: 63 of 63 blocks",
        "total: 1 of 1 blocks",
        "pairs: 31 of 31 blocks",
    ]
    before = contents(folder)
    document = json.loads(run_here("blocks", "run", output, "--part", "1/2", "--json").stdout)
    assert document == {"command": "blocks run", "output": str(output), "blocks": 63}
    assert contents(folder) == before
    run_here("blocks", "finish", output, "--keep")
    assert folder.is_dir()
    result = run_here("blocks", "finish", output)
    assert result.stdout == f"63 blocks done, written to {output}\n"
    assert not folder.exists()


def test_a_plan_is_made_of_the_options(tmp_path, monkeypatch):
    given = []

    def plan(segmenter, image, output, *, block_size, diameters, **selection):
        assert not any(selection.values())
        given.append((segmenter, image, output, block_size, diameters))
        return PLAN

    monkeypatch.setattr(blockwise, "plan", plan)
    output = tmp_path / "out.zarr"
    options = ["--block-size", 512, "--diameter", 30, "--flow-threshold", "none", "--min-size", 7]
    result = run_here("blocks", "plan", "slide.zarr", "-m", "nuclei", "-o", output, *options)
    assert result.stdout.startswith(f"63 blocks planned; next: flowseg blocks run {output} --part 1/N")
    ((segmenter, image, given_output, block_size, diameters),) = given
    assert (image, given_output, block_size, diameters) == ("slide.zarr", output, 512, 30.0)
    assert (segmenter.min_size, segmenter.flow_threshold) == (7, None)
    run_here("blocks", "plan", "slide.zarr", "-m", "nuclei", "-o", output, "--diameter", "estimate", "--json")
    assert given[1][3:] == (None, "estimate")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "{out}", "--part", "0/2"], "--part must be from 1/2 to 2/2; got '0/2'."),
        (["run", "{out}", "--part", "3/2"], "--part must be from 1/2 to 2/2; got '3/2'."),
        (["run", "{out}", "--part", "x"], "--part must be a part and the number of parts, such as 17/200; got 'x'."),
        (["run", "{out}", "--part", "1/2/3"], "--part must be a part and the number of parts"),
        (["run", "{out}", "--part", "1/0"], "--part must be from 1/1 to 1/1; got '1/0'."),
        (["run", "{out}", "--part", "1/2", "--timeout", "0"], "--timeout must be a number above 0; got 0.0."),
        (["run", "{out}x", "--part", "1/2"], "OUTPUT must be one that flowseg blocks plan was given; got "),
        (["finish", "{out}x"], "OUTPUT must be one that flowseg blocks plan was given; got "),
        (["finish", "{out}"], "must be done before it is finished; 63 of 63 blocks of stage numbers are left, "),
        (["plan", "a", "-m", "nothing", "-o", "{out}"], "--model must be a model file or the name of a pretrained"),
        (["plan", "a", "-m", "nuclei", "-o", "{out}", "--diameter", "x"], "--diameter must be a number or 'estimate'"),
    ],
)
def test_bad_arguments(arguments, sentence, tmp_path):
    plan_run(tmp_path)
    words = [word.format(out=tmp_path / "out.zarr") for word in arguments]
    result = run_here("blocks", *words, status=1)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_error_names_its_block(tmp_path):
    plan_run(tmp_path, with_settings(fails="numbers 2"))
    result = run_here("blocks", "run", tmp_path / "out.zarr", "--part", "1/1", status=1)
    assert result.stderr.splitlines()[-1] == "flowseg: stage numbers, block 2: cellprob must be finite; got NaN."


def test_parts():
    assert parse_part("17/200") == (17, 200)


def test_a_command_is_needed():
    assert "plan" in invoke("blocks", status=2).output


def test_the_package_needs_no_extra():
    code = "import sys, flowseg.blockwise; print([n for n in ('zarr', 'dask', 'distributed', 'keras') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
