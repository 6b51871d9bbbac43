"""What a training says: to the log always, to standard error where asked, to standard output never."""

import logging
import subprocess
import sys

import pytest

import flowseg
from flowseg._system.messages import say

LINES = [
    "epoch 1 of 2: loss ",
    "epoch 2 of 2: loss ",
    "no validation images",
    "cellprob_threshold ",
]


@pytest.fixture(scope="module")
def data(pairs):
    images, masks = zip(*pairs[:2])
    return images, masks


def is_told(text):
    return [any(line.startswith(start) for line in text) for start in LINES]


@pytest.mark.filterwarnings("ignore:the .* objects found are probably false positives")
def test_a_training_is_logged(data, small, capsys, caplog):
    with caplog.at_level(logging.DEBUG, logger="flowseg"):
        segmenter = flowseg.FlowSegmenter(**small).fit(*data)
        segmenter.predict(data[0][0])
    assert capsys.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"flowseg"}
    assert all(is_told([record.message for record in caplog.records if record.levelno == logging.INFO]))
    assert " objects in an image of shape (96, 96)" in caplog.records[-1].message
    assert caplog.records[-1].levelno == logging.DEBUG


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_verbose_training_writes_lines_where_there_is_no_terminal(data, small, capsys, verbose):
    flowseg.FlowSegmenter(**small, verbose=verbose).fit(*data)
    out, err = capsys.readouterr()
    assert out == ""
    assert all(is_told(err.splitlines()))
    assert err.count("epoch 1 of 2") == 1
    assert not {"\x08", "\r"} & {*err}  # as bars write


def test_lines_that_are_not_asked_for_are_silent():
    code = "import flowseg; from flowseg._system.messages import LOG, say; LOG.warning('w'); say('s', aloud=False)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_lines_with_control_characters_are_written_out(capsys):
    say("a\x1b[2J", aloud=True)
    assert capsys.readouterr().err == "a\\x1b[2J\n"
