"""Parts of a model file, each on its own: strict JSON, the header of a .safetensors file, the document in it."""

import json
import re
import struct
from pathlib import Path

import pytest

from flowseg._nets import safetensors_header
from flowseg._nets.safetensors_header import read_metadata
from flowseg._segmenters.model_files import document_checks
from flowseg._segmenters.model_files.document_checks import check_document
from flowseg._system import strict_json
from flowseg._system.invalid_file import InvalidFileError
from flowseg._system.strict_json import MOST_LEVELS, MOST_QUOTED, quote, read_strictly


class TestStrictJson:
    def test_levels(self):
        assert MOST_LEVELS == 32
        deep, names = "[" * MOST_LEVELS + "1" + "]" * MOST_LEVELS, '{"a":' * MOST_LEVELS + "1" + "}" * MOST_LEVELS
        for text in (deep[1:-1], "[]", names[5:-1], f'{{"a": {deep[2:-2]}}}', f'{{"a": [{names[15:-3]}, 1]}}'):
            assert read_strictly(text) == json.loads(text)
        for text in (f"[{deep}]", f'{{"a": {names}}}', f'{{"a": {deep}}}', f"[{names}]"):
            with pytest.raises(ValueError, match=f"got lists and objects nested more than {MOST_LEVELS} deep.$"):
                read_strictly(text)

    def test_numbers(self):
        for text in ("[1e308, -1e308, 5, true, null]", '{"a": 1.5}', "3", '"NaN"', "1" + "0" * 308):
            assert read_strictly(text) == json.loads(text)
        for bad, said in (("NaN", "the number nan"), ("Infinity", "the number inf"), ("-1e999", "the number -inf"),
                          ("1" + "0" * 309, "a number too large for one")):  # fmt: skip
            for around in ("{}", "[1, {}]", '{{"a": {}}}', '{{"a": {{"b": [{}]}}}}', '{{"open": 1, "b": {}}}'):
                with pytest.raises(ValueError, match=f"got {said}.$"):
                    read_strictly(around.format(bad), open_ended=("open",))
            text = f'{{"open": [{bad}, {{"a": {bad}}}]}}'
            if "too large" in said:
                with pytest.raises(ValueError, match=f"got {said}.$"):
                    read_strictly(text, open_ended=("open",))
            else:
                assert repr(read_strictly(text, open_ended=("open",))) == repr(json.loads(text))
                with pytest.raises(ValueError, match=f"got {said}.$"):
                    read_strictly(text)

    def test_names(self):
        with pytest.raises(ValueError, match="got the name 'b' more than once.$"):
            read_strictly('{"a": 1, "b": 2, "c": 3, "b": 4, "c": 5}')
        assert read_strictly('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
        with pytest.raises(ValueError, match="got text that is no JSON: Expecting value: line 1 column 2"):
            read_strictly("[")

    def test_shortened_names(self):
        assert quote("x" * MOST_QUOTED) == repr("x" * MOST_QUOTED)
        assert quote("x" * MOST_QUOTED + "y") == repr("x" * MOST_QUOTED + "...")
        assert MOST_QUOTED == 40


class TestHeader:
    def write(self, path, header, n_bytes=0, length=None):
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(n_bytes))
        return path

    def tensors(self, *places):
        return {chr(97 + k): {"dtype": "F32", "data_offsets": list(place)} for k, place in enumerate(places)}

    def test_places(self, tmp_path):
        for places in ([(0, 8)], [(0, 0)], [(8, 8)], [(0, 4), (4, 8)], [(4, 8), (0, 4)], [(0, 4), (4, 4), (4, 8)], []):
            header = {"__metadata__": {"k": "v"}} | self.tensors(*places)
            assert read_metadata(self.write(tmp_path / "m", header, 8)) == {"k": "v"}
        assert read_metadata(self.write(tmp_path / "m", self.tensors((0, 8)), 8)) == {}
        for places, words in (
            ([(0, 9)], "the tensor 'a' lies beyond the 8 bytes of data"), ([(-1, 4)], "the tensor 'a' lies beyond"),
            ([(0, 8), (5, 4)], "the tensor 'b' lies beyond"), ([(0, 5), (4, 8)], "the tensors 'a' and 'b' lie in one"),
            ([(4, 8), (0, 4), (3, 4)], "the tensors 'b' and 'c' lie in one"), ([(1, 2, 3)], "'a' has no place in it"),
            ([(1,)], "'a' has no place in it"), ([(True, 2)], "'a' has no place in it"),
        ):  # fmt: skip
            with pytest.raises(InvalidFileError, match=words):
                read_metadata(self.write(tmp_path / "m", self.tensors(*places), 8))

    def test_lengths(self, tmp_path, monkeypatch):
        assert read_metadata(self.write(tmp_path / "m", b"{}")) == {}
        for n_bytes in (0, 7):
            (tmp_path / "m").write_bytes(bytes(n_bytes))
            with pytest.raises(
                InvalidFileError, match=rf"another format .it has {n_bytes} bytes and declares a header of 0.\.$"
            ):
                read_metadata(tmp_path / "m")
        with pytest.raises(InvalidFileError, match=r"another format .it has 10 bytes and declares a header of 3.\.$"):
            read_metadata(self.write(tmp_path / "m", b"{}", length=3))
        (tmp_path / "m").write_bytes(bytes(8))
        with pytest.raises(InvalidFileError, match="another format .its header holds text that is no JSON: "):
            read_metadata(tmp_path / "m")
        header = b"{}" + b" " * 254  # 256: bytes in another order would say 2 ** 48
        monkeypatch.setattr(safetensors_header, "MAX_HEADER", 256)
        assert read_metadata(self.write(tmp_path / "m", header)) == {}
        monkeypatch.setattr(safetensors_header, "MAX_HEADER", 255)
        with pytest.raises(
            InvalidFileError, match=r"another format .it declares a header of 256 bytes; 255 are the most.\.$"
        ):
            read_metadata(self.write(tmp_path / "m", header))

    def test_metadata(self, tmp_path):
        for bad in ({"a": 1}, {"a": "b", "c": None}, [], "a", None):
            with pytest.raises(InvalidFileError, match=r"another format .its metadata are no texts by name.\.$"):
                read_metadata(self.write(tmp_path / "m", {"__metadata__": bad}))
        for bad, words in ((b"\xff", "its header is no text"), (b"3", "its header is no JSON object"),
                           (b"{", "its header holds text that is no JSON: ")):  # fmt: skip
            with pytest.raises(InvalidFileError, match=f"another format .{words}"):
                read_metadata(self.write(tmp_path / "m", bad))


GOOD = {"format_version": 1, "flowseg_version": "1.2", "estimator": "FlowSegmenter", "parameters": {}, "history": {},
        "learned": {"diameter": 20.0}}  # fmt: skip


class TestDocument:
    @pytest.mark.parametrize(
        "more",
        [
            {}, {"card": {}, "trained_with": {}}, {"card": {"a": [1, None, {"b": 1.5}]}},
            {"trained_with": {"keras": "3", "cores": 2, "devices": ["a"], "threads": None}},
            {"history": {"loss": [1, 2.5], "other": []}}, {"parameters": {"filters": [4, 8], "n_channels": 1, "x": {}}},
            {"learned": {"diameter": 1e-9}}, {"more": 5},
        ],
    )  # fmt: skip
    def test_right_documents(self, more, tmp_path):
        assert check_document(json.dumps(GOOD | more), tmp_path) == GOOD | more
        for name in ("NaN", "Infinity"):
            text = json.dumps(GOOD | more | {"history": {"loss": ["*"]}}).replace('"*"', name)
            assert repr(check_document(text, tmp_path)) == repr(json.loads(text))

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"format_version": 2}, "was written by a newer flowseg (1.2): its format version is 2, this flowseg reads "
                                    "up to 1. Update flowseg to read it."),
            ({"format_version": 0}, "must have a format version of at least 1; got 0."),
            ({"format_version": True}, "must have a format version of at least 1; got true."),
            ({"format_version": "1" * 38}, f'must have a format version of at least 1; got "{"1" * 38}".'),
            ({"format_version": "1" * 39}, f'must have a format version of at least 1; got "{"1" * 39}....'),
            ({"flowseg_version": 1}, "must hold the version of flowseg that wrote it; got something else."),
            ({"estimator": None}, "must hold the estimator's name; got null."),
            ({"history": {"a": [], "loss": 5}}, "must hold lists of losses as 'history'; got something else."),
            ({"history": {"loss": [1, True]}}, "must hold lists of losses as 'history'; got something else."),
            ({"history": {"loss": ["1", 1]}}, "must hold lists of losses as 'history'; got something else."),
            ({"card": []}, "must hold 'card' as a JSON object, if at all; got something else."),
            ({"card": None}, "must hold 'card' as a JSON object, if at all; got something else."),
            ({"trained_with": []}, "must hold 'trained_with' as a JSON object, if at all; got something else."),
            ({"trained_with": {"a": "b", "c": {}}}, "must hold words, numbers and lists of them as 'trained_with'; got "
                                                    "something else."),
            ({"trained_with": {"a": 1.5}}, "must hold words, numbers and lists of them as 'trained_with'; got "
                                           "something else."),
            ({"learned": {"diameter": 20}}, "must hold a learned diameter above 0; got 20."),
            ({"learned": {"diameter": 0.0}}, "must hold a learned diameter above 0; got 0.0."),
            ({"learned": {"diameter": None}}, "must hold a learned diameter above 0; got null."),
            ({"parameters": {"n_channels": 0}}, "must hold valid parameters; n_channels must be an integer of at least "
                                                "1; got 0."),
            ({"parameters": {"filters": []}}, "must hold valid parameters; filters must be"),
            ({"parameters": {"filters": ["a"]}}, "must hold valid parameters; filters[0] must be"),
        ],
    )  # fmt: skip
    def test_wrong_documents(self, more, words, tmp_path):
        with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path} {words}')}"):
            check_document(json.dumps(GOOD | more), tmp_path)

    @pytest.mark.parametrize("name", ["parameters", "learned", "history"])
    def test_objects(self, name):
        for bad in ([], None, "a"):
            with pytest.raises(ValueError, match="^m must hold 'parameters', 'learned' and 'history' as JSON objects"):
                check_document(json.dumps(GOOD | {name: bad}), Path("m"))

    @pytest.mark.parametrize("name", sorted(GOOD))
    def test_missing_parts(self, name):
        others = {key: value for key, value in GOOD.items() if key != name}
        with pytest.raises(
            ValueError, match=r"^m must hold a JSON document with format_version, .*; got another one\."
        ):
            check_document(json.dumps(others), Path("m"))

    def test_texts(self):
        for text, said in (
            ("[1", "text that is no JSON: "),
            ("[NaN]", "the number nan."),
            ("[1]", None),
            ('"a"', None),
        ):
            words = f"as metadata; got {said}" if said else "with format_version, .*; got another one."
            with pytest.raises(ValueError, match=f"^m must hold a JSON document {words}"):
                check_document(text, Path("m"))
        with pytest.raises(ValueError, match="^m must hold a JSON document as metadata; got halves of characters in"):
            check_document(json.dumps(GOOD | {"more": "\ud800"}), Path("m"))

    @pytest.mark.parametrize("name", ["sizes", "thresholds", "score"])
    def test_learned_parts_are_checked_where_they_exist(self, name, monkeypatch):
        read = {"sizes": "read_sizes", "thresholds": "read_thresholds", "score": "read_calibration"}[name]
        seen = []
        monkeypatch.setattr(document_checks, read, seen.append)
        check_document(json.dumps(GOOD), Path("m"))
        assert not seen
        check_document(json.dumps(GOOD | {"learned": {"diameter": 20.0, name: [5]}}), Path("m"))
        assert seen == [[5]]


def test_integers_are_checked_and_booleans_pass():
    assert strict_json._find_fault(True, 1, finite=True) is None
    assert strict_json._find_fault(strict_json.LARGEST, 1, finite=True) is None
    assert "too large" in strict_json._find_fault(-(10**400), 1, finite=True)
