"""Names of files that are not harmless text: shown escaped in whatever a command says, kept as they are in files."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from cli_tools import contents, run_here

from flowseg import cli, io
from flowseg._system.invalid_file import StoredFile
from flowseg._system.printable import LONGEST, one_line, shown
from flowseg.cli._shared.errors import sentence_of

# Names, and how they are shown.
NAMES = {
    "red \x1b[31m": r"red \x1b[31m",
    "title \x1b]0;x\x07": r"title \x1b]0;x\x07",
    "two\nlines": r"two\nlines",
    "back\rward": r"back\rward",
    "tab\there": r"tab\there",
    "right \u202eleft": r"right \u202eleft",
    "isolated \u2066x\u2069": r"isolated \u2066x\u2069",
    "none\u200bhere": r"none\u200bhere",
    "page\u2028break": r"page\u2028break",
    "eight \x9b31m": r"eight \x9b31m",
    "bytes \udcff\udc80": r"bytes \xff\x80",
    "two  spaces   three": "two  spaces   three",
    " leading and trailing ": " leading and trailing ",
    "ümläut 細胞 🙂 👩‍🔬": "ümläut 細胞 🙂 👩‍🔬",
    "na\u200cme": "na\u200cme",
}


@pytest.mark.parametrize("name", NAMES)
def test_printable_text(name):
    assert shown(name) == NAMES[name]


def test_every_character():
    for code in range(0x110000):
        text = shown(chr(code))
        harmless = unicodedata.category(chr(code)) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or chr(code) in "\u200c\u200d"
        assert (text == chr(code)) == harmless
        assert harmless or text.isascii()


def test_sentences():
    """Breaks in a sentence of ours are those of a name; a library's are none."""
    assert one_line("a  b \n   c\r\nd\n") == "a  b c d"
    assert one_line("x" * LONGEST, LONGEST) == "x" * LONGEST
    assert one_line("x" * (LONGEST + 1), LONGEST) == "x" * LONGEST + " ..."
    with pytest.raises(ValueError, match="must be a readable") as ours:
        _raise_in_package()
    assert sentence_of(ours.value) == "a\nb  c must be a readable thing; got: x y."
    with pytest.raises(ValueError, match="a") as other:
        raise ValueError("a  b\n  c")
    assert sentence_of(other.value) == "a  b c"


def _raise_in_package():
    with StoredFile(Path("a\nb  c"), "thing").parsing():
        raise ValueError("x\n  y")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in\x1b[2J  put"
    try:
        folder.mkdir()
        for k, name in enumerate(NAMES):
            file = folder / f"{name}.tif"
            if k % 2:
                io.write_masks(file, np.pad(np.eye(9, dtype=int), 2))
            else:
                file.write_bytes(b"no TIFF")
    except (OSError, UnicodeError):
        pytest.skip("this file system does not take such names")
    return folder


COMMANDS = {
    "mend": ("mend", "{in}", "--output", "{out}"),
    "convert": ("convert", "{in}", "--output", "{out}", "--to", "tif,coco"),
    "flows": ("flows", "{in}", "--output", "{out}"),
    "measure": ("measure", "{in}", "--output", "{out}.csv"),
    "check": ("check", "{in}", "--mend", "{out}"),
    "evaluate": ("evaluate", "{in}", "{in}/*.tif", "--report", "{out}.html"),
    "missing": ("mend", "{in}/nothing\x1b[5m", "--output", "{out}"),
    "option": ("mend", "{in}", "--out\u202eput", "{out}"),
    "command": ("me\x1b[1mnd",),
    "model": ("info", "{in}/mo\x1b[1mdel"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_print_no_raw_name(name, folder, tmp_path):
    output = tmp_path / "out\x1b[7m\n"
    words = [word.replace("{in}", str(folder)).replace("{out}", str(output)) for word in COMMANDS[name]]
    result = run_here(*words, status=None)
    said = result.stdout + result.stderr
    raw = {character for character in said if shown(character) != character} - {"\n"}
    assert not raw
    assert "Traceback" not in said
    if name in ("mend", "convert", "flows", "check"):
        for k, (file, text) in enumerate(NAMES.items()):
            if not k % 2:
                lines = [line for line in said.splitlines() if f"{text}.tif" in line]
                assert lines, file
        assert r"in\x1b[2J  put/" in said


def test_files_keep_names_as_they_are(folder, tmp_path):
    good = [name for k, name in enumerate(NAMES) if k % 2]
    result = run_here("convert", folder, "--output", tmp_path / "out", "--json", status=1)
    assert [os.path.basename(file["file"]) for file in json.loads(result.stdout)["files"]] == sorted(
        f"{name}.tif" for name in good
    )
    record = contents(tmp_path / "out")["flowseg-run.jsonl"]
    assert record.decode("ascii").replace("\n", "").isprintable()
    entries = [json.loads(line) for line in record.splitlines()[1:]]
    assert {entry["name"] for entry in entries} == set(good)
    assert (
        "(7 of them done before)"
        in run_here("convert", folder, "--output", tmp_path / "out", "--resume", status=1).stdout
    )


def test_the_report_shows_names_escaped(tmp_path):
    for side in ("true", "found"):
        (tmp_path / side).mkdir()
        for name in ("a\u202eb", "c\nd"):
            io.write_masks(tmp_path / side / f"{name}.tif", np.pad(np.eye(9, dtype=int), 2))
    run_here("evaluate", tmp_path / "true", tmp_path / "found", "--report", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert r'"name":"a\\u202eb"' in page
    assert r'"name":"c\\nd"' in page
    assert "\u202e" not in page


def test_notes_of_libraries_are_one_line(capsys):
    cli._show_warning("two\n  lines  \x1b[1m", UserWarning, "/elsewhere/numpy/core.py", 1)
    cli._show_warning("two\nlines", UserWarning, cli.__file__, 1)
    assert capsys.readouterr().err == "flowseg: note: two lines  \\x1b[1m\nflowseg: note: two\\nlines\n"
