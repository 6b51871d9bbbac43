"""Model files and checkpoints that nobody at flowseg wrote: one sentence each, before anything large is made."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from flowseg import FlowSegmenter, build_unet, load_segmenter
from flowseg._nets.safetensors_header import MAX_HEADER, read_metadata
from flowseg._nets.training.checkpoint import METADATA_KEY, read_state
from flowseg._nets.training.machine import describe_machine
from flowseg._segmenters.fitted import FixedParameters
from flowseg._segmenters.model_files import reading
from flowseg._segmenters.model_files.document_checks import MAX_DOCUMENT, check_document
from flowseg._segmenters.model_files.reading import read_document
from flowseg._segmenters.model_files.weights import check_size, name_weights
from flowseg._segmenters.model_files.writing import write_document
from flowseg._segmenters.pretrained import pretrained_file
from flowseg._system.strict_json import MOST_LEVELS, read_strictly
from flowseg.cli._batch.run_record import RECORD_NAME, read_record

STATE = {"fingerprint": "", "seeds": [1, 2, 3]}


def take_apart(path):
    """Header as text, and data, of a .safetensors file."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    return whole[8 : 8 + length].decode(), whole[8 + length :]


def put_together(path, header, data, length=None):
    raw = header.encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)


@pytest.fixture(scope="module")
def document():
    return json.loads(read_metadata(pretrained_file("nuclei"))["flowseg"])


@pytest.fixture(scope="module")
def model(tmp_path_factory, document):
    """A segmenter with weights that nobody trained."""
    parameters = FlowSegmenter(filters=(4, 8), crop_size=64, random_state=3).get_params(deep=False)
    machine = {"keras": "3.15.1", "cores": 2, "threads": 2, "onednn": "default"}
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    weights = name_weights(build_unet(1, 3, filters=(4, 8), seed=1))
    write_document(path, document | {"parameters": parameters, "trained_with": machine}, weights)
    return FlowSegmenter.load(path)


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    return path


def with_text(path, change):
    """The same file with its document's text changed."""
    header, data = take_apart(path)
    header = json.loads(header)
    header["__metadata__"]["flowseg"] = change(header["__metadata__"]["flowseg"])
    put_together(path, json.dumps(header), data)


class TestDocument:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda d: d | {"format_version": True}, "format version of at least 1; got true"),
            (lambda d: d | {"format_version": 1.0}, "format version of at least 1; got 1.0"),
            (lambda d: d | {"format_version": 0}, "format version of at least 1; got 0"),
            (lambda d: d | {"format_version": None}, "format version of at least 1; got null"),
            (lambda d: d | {"flowseg_version": 1}, "must hold the version of flowseg"),
            (lambda d: d | {"learned": 5}, "must hold 'parameters', 'learned' and 'history' as JSON objects"),
            (lambda d: d | {"parameters": []}, "must hold 'parameters', 'learned' and 'history' as JSON objects"),
            (lambda d: d | {"history": None}, "must hold 'parameters', 'learned' and 'history' as JSON objects"),
            (lambda d: d | {"estimator": ["FlowSegmenter"]}, "must hold the estimator's name; got"),
            (lambda d: {"format_version": 1}, "must hold a JSON document with format_version, flowseg_version"),
            (lambda d: d | {"learned": {}}, "must hold a learned diameter above 0; got null"),
            (lambda d: d | {"learned": d["learned"] | {"diameter": 0}}, "a learned diameter above 0; got 0"),
            (lambda d: d | {"learned": d["learned"] | {"diameter": 0.0}}, "a learned diameter above 0; got 0.0"),
            (lambda d: d | {"learned": d["learned"] | {"diameter": -3.5}}, "a learned diameter above 0; got -3.5"),
            (lambda d: d | {"learned": d["learned"] | {"diameter": True}}, "a learned diameter above 0; got true"),
            (
                lambda d: d | {"learned": d["learned"] | {"diameter": "9" * 99}},
                'a learned diameter above 0; got "9{39}',
            ),
            (lambda d: d | {"learned": d["learned"] | {"diameter": np.nan}}, "as metadata; got the number nan"),
            (lambda d: d | {"learned": d["learned"] | {"diameter": np.inf}}, "as metadata; got the number inf"),
            (lambda d: d | {"learned": d["learned"] | {"least_sharpness": 1e308}}, "least_sharpness must be a number"),
            (lambda d: d | {"learned": d["learned"] | {"sizes": []}}, "what was learned; sizes must be an object"),
            (lambda d: d | {"learned": d["learned"] | {"sizes": "x" * 10**6}}, r"sizes must be an object.* \.\.\.$"),
            (lambda d: d | {"learned": d["learned"] | {"score": 5}}, "what was learned; score must be null"),
            (lambda d: d | {"learned": d["learned"] | {"thresholds": 5}}, "thresholds must be an object"),
            (lambda d: d | {"history": {"loss": [1.0, "2"]}}, "must hold lists of losses"),
            (lambda d: d | {"history": {"loss": [True]}}, "must hold lists of losses"),
            (lambda d: d | {"history": {"loss": [10**400]}}, "got a number too large for one"),
            (lambda d: d | {"card": ["no", "object"]}, "must hold 'card' as a JSON object, if at all"),
            (lambda d: d | {"card": {"license": np.nan}}, "got the number nan"),
            (lambda d: d | {"card": {"license": "\ud800"}}, "got halves of characters in it"),
            (lambda d: d | {"trained_with": 5}, "must hold 'trained_with' as a JSON object, if at all"),
            (lambda d: d | {"trained_with": {"cores": {}}}, "words, numbers and lists of them as 'trained_with'"),
            (lambda d: d | {"parameters": {"filters": 5}}, "valid parameters; filters must be a sequence"),
            (lambda d: d | {"parameters": {"n_channels": "one"}}, "valid parameters; n_channels must be an integer"),
        ],
    )
    def test_values(self, change, sentence, document, tmp_path):
        with pytest.raises(ValueError, match=sentence) as caught:
            check_document(json.dumps(change(document)), tmp_path / "m")
        assert len(str(caught.value)) < 700

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("[" * 100_000, f"nested more than {MOST_LEVELS} deep"),
            ('{"a":' * 100_000, f"nested more than {MOST_LEVELS} deep"),
            ("[" * 33 + "]" * 33, f"nested more than {MOST_LEVELS} deep"),
            ('{"a": {"b": 1, "c": 2, "b": 1}}', "the name 'b' more than once"),
            ('{"' + "n" * 500 + '": 1, "' + "n" * 500 + '": 1}', "the name 'n{40}...' more than once"),
            ("[1e999]", "the number inf"),
            ("[-Infinity]", "the number -inf"),
            ("9" * 5000, "got|digits"),
            ("9" * 400, "a number too large for one"),
            ("{", "text that is no JSON"),
            ("", "text that is no JSON"),
        ],
    )
    def test_json(self, text, sentence):
        with pytest.raises(ValueError, match=sentence):
            read_strictly(text)

    def test_what_is_read(self):
        assert read_strictly("[" * 32 + "]" * 32)
        assert read_strictly('{"history": {"loss": [NaN, 1.5]}}', open_ended=["history"])["history"]["loss"][1] == 1.5
        with pytest.raises(ValueError, match="the number nan"):
            read_strictly('{"history": 1, "other": [NaN]}', open_ended=["history"])

    def test_a_name_twice_in_a_file(self, file):
        with_text(file, lambda text: text[:-1] + ', "format_version": 1}')
        with pytest.raises(ValueError, match="got the name 'format_version' more than once"):
            load_segmenter(file)

    def test_the_file_of_a_training_that_diverged_is_read(self, file):
        with_text(file, lambda text: text.replace('"history": {"loss": [', '"history": {"loss": [NaN, '))
        assert np.isnan(FlowSegmenter.load(file).history_["loss"][0])

    @pytest.mark.parametrize(
        "card", [{"n": [np.inf]}, {1: "a", "1": "b"}, {"a": {"b": object()}}, {"a": 10**400}], ids=lambda c: str(c)[:9]
    )
    def test_a_card_that_could_not_be_read_is_not_saved(self, card, model, tmp_path):
        with pytest.raises(TypeError, match="card must be a dict of plain JSON values"):
            model.save(tmp_path / "m", card=card)
        assert not list(tmp_path.iterdir())

    def test_a_card_without_end(self, model, tmp_path):
        deep = {}
        for _ in range(5000):
            deep = {"a": deep}
        with pytest.raises(TypeError, match="card must be a dict of plain JSON values"):
            model.save(tmp_path / "m", card=deep)

    def test_a_document_that_is_just_short_enough(self, tmp_path, monkeypatch):
        monkeypatch.setattr("flowseg._segmenters.model_files.writing.MAX_DOCUMENT", len('{"a": 1, "b": 2}'))
        write_document(tmp_path / "m", {"b": 2, "a": 1}, {})
        assert read_metadata(tmp_path / "m")["flowseg"] == '{"a": 1, "b": 2}'  # sorted: the same bytes every time
        with pytest.raises(ValueError, match="must have at most 16 characters with the rest .*; got 17"):
            write_document(tmp_path / "n", {"b": 22, "a": 1}, {})

    def test_a_document_that_is_too_long_is_not_saved(self, tmp_path):
        with pytest.raises(ValueError, match="card and history must have at most 5000000 characters"):
            write_document(tmp_path / "m", {"card": "x" * MAX_DOCUMENT}, {})
        assert not list(tmp_path.iterdir())


class TestHeader:
    ENTRY = '"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'

    @pytest.mark.parametrize(
        ("header", "sentence"),
        [
            (f"{{{ENTRY}, {ENTRY}}}", "the name 'a' more than once"),
            ('{"__metadata__": {}, "__metadata__": {}}', "the name '__metadata__' more than once"),
            ('{"__metadata__": {"flowseg": "1", "flowseg": "2"}}', "the name 'flowseg' more than once"),
            (f"{{{ENTRY}, {ENTRY.replace('a', 'b', 1)}}}", "'a' and 'b' lie in one another"),
            (f"{{{ENTRY}, {ENTRY.replace('a', 'b', 1).replace('0, 8', '4, 12')}}}", "lie in one another|lies beyond"),
            (f"{{{ENTRY.replace('0, 8', '8, 16')}}}", "the tensor 'a' lies beyond the 8 bytes of data"),
            (f"{{{ENTRY.replace('0, 8', '-8, 0')}}}", "the tensor 'a' lies beyond the 8 bytes of data"),
            (f"{{{ENTRY.replace('0, 8', '8, 0')}}}", "the tensor 'a' lies beyond the 8 bytes of data"),
            (f"{{{ENTRY.replace('0, 8', '0, 18446744073709551616')}}}", "lies beyond the 8 bytes of data"),
            (f"{{{ENTRY.replace('0, 8', 'false, true')}}}", "the tensor 'a' has no place in it"),
            (f"{{{ENTRY.replace('[0, 8]', '8')}}}", "the tensor 'a' has no place in it"),
            (f"{{{ENTRY.replace('0, 8', '0, 8.0')}}}", "the tensor 'a' has no place in it"),
            ('{"a": []}', "the tensor 'a' has no place in it"),
            ('{"__metadata__": {"flowseg": 5}}', "its metadata are no texts by name"),
            ('{"__metadata__": []}', "its metadata are no texts by name"),
            ("[]", "its header is no JSON object"),
            ("[" * 100_000, "its header holds lists and objects nested"),
            ('{"a": NaN}', "its header holds the number nan"),
        ],
    )
    def test_headers(self, header, sentence, tmp_path):
        put_together(tmp_path / "m", header, bytes(8))
        with pytest.raises(ValueError, match=sentence):
            read_metadata(tmp_path / "m")
        with pytest.raises(ValueError, match=f"must be a flowseg model in .safetensors format.*({sentence})"):
            read_document(tmp_path / "m")
        with pytest.raises(ValueError, match="checkpoint must be a file that fit wrote"):
            read_state(tmp_path / "m")

    @pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**15, 9])
    def test_a_length_beyond_the_file(self, length, tmp_path):
        put_together(tmp_path / "m", "{}", b"", length)
        with pytest.raises(ValueError, match=f"it has 10 bytes and declares a header of {length}"):
            read_document(tmp_path / "m")

    def test_a_header_too_large_for_any_model(self, tmp_path):
        put_together(tmp_path / "m", " ", b"", MAX_HEADER + 1)
        with open(tmp_path / "m", "r+b") as stream:
            stream.truncate(10**10)  # takes no room on the disk
        with pytest.raises(ValueError, match=f"declares a header of {MAX_HEADER + 1} bytes; {MAX_HEADER} are"):
            read_document(tmp_path / "m")

    def test_no_text(self, tmp_path):
        (tmp_path / "m").write_bytes(struct.pack("<Q", 2) + b"\xff\xfe")
        with pytest.raises(ValueError, match="its header is no text"):
            read_document(tmp_path / "m")

    def test_tensors_side_by_side_are_read(self, tmp_path):
        save_file({"a": np.zeros(2), "b": np.zeros(0), "c": np.ones(3)}, tmp_path / "m", metadata={"k": "v"})
        assert read_metadata(tmp_path / "m") == {"k": "v"}


class TestSize:
    """Filters that declare more weights than the file can hold are refused before a network of them is built."""

    @pytest.mark.parametrize("filters", [[300], [1, 300], [1, 1, 1, 1, 300], [50_000], [10**12, 1], [1, 10**12]])
    @pytest.mark.parametrize("network", ["unet", "resunet"])
    def test_filters(self, filters, network, file, monkeypatch):
        monkeypatch.setattr(reading, "make_network", lambda *_, **__: pytest.fail("it was built"))
        size = file.stat().st_size

        def change(text):
            document = json.loads(text)
            document["parameters"] |= {"filters": filters, "network": network, "crop_size": 64}
            return json.dumps(document)

        with_text(file, change)
        assert file.stat().st_size < size + 1000
        with pytest.raises(ValueError, match="must hold the weights of its network, at least [0-9]* bytes; got"):
            FlowSegmenter.load(file)

    @pytest.mark.parametrize("network", ["unet", "resunet"])
    def test_what_is_right_is_not_refused(self, network, tmp_path):
        from flowseg import build_resunet, build_unet

        made = {"unet": build_unet, "resunet": build_resunet}[network]
        for filters in ((1,), (8,), (2, 3), (3, 2), (4, 1, 4)):
            n_bytes = sum(weight.numpy().nbytes for weight in made(5, 3, filters=filters).weights)
            (tmp_path / "m").write_bytes(bytes(n_bytes))
            check_size(tmp_path / "m", FixedParameters(network, 5, filters, "auto"))

    def test_channels_of_a_custom_network(self, file):
        fixed = FixedParameters(lambda *_: pytest.fail("it was built"), 10**9, (8, 16), "auto")
        with pytest.raises(ValueError, match="at least 1000000000 bytes"):
            check_size(file, fixed)


class TestWeights:
    """Weights by name, which have to be those of the network."""

    @staticmethod
    def change(path, change):
        weights, document = load_file(path), json.dumps(read_document(path))
        save_file(change(weights) or weights, path, metadata={"flowseg": document})

    def test_names_of_layers_do_not_count(self, file):
        self.change(file, lambda w: {name.replace("conv", "other"): value for name, value in w.items()})
        load_segmenter(file)

    def test_every_weight_comes_back_in_its_place(self, model, file):
        found = load_segmenter(file).network_.get_weights()
        assert len(found) == len(model.network_.get_weights()) > 20
        assert all(np.array_equal(a, b) for a, b in zip(found, model.network_.get_weights()))

    @pytest.mark.parametrize("name", ["000", "005", "last"])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_one_number_that_is_none(self, name, value, file):
        def change(weights):
            key = sorted(weights)[-1] if name == "last" else next(k for k in weights if k.startswith(name))
            weights[key].flat[-1] = value

        self.change(file, change)
        with pytest.raises(ValueError, match="weight .* must be finite; got NaN or infinite values"):
            load_segmenter(file)

    @pytest.mark.parametrize("n", [1, 4, 5, 6])
    def test_those_that_are_missing(self, n, file):
        self.change(file, lambda w: {name: w[name] for name in sorted(w)[n:]})
        with pytest.raises(
            ValueError, match="weights of this network; got [0-9]+, and these do not pair up: "
        ) as caught:
            load_segmenter(file)
        assert str(caught.value).count("0") >= n if n < 5 else str(caught.value).endswith(" ....")

    def test_one_twice_under_another_layers_name(self, file):
        self.change(file, lambda w: w | {"000/again/kernel": w[next(k for k in w if k.startswith("000"))]})
        with pytest.raises(ValueError, match="must hold the [0-9]+ weights of this network; got"):
            load_segmenter(file)

    def test_other_shapes(self, file):
        self.change(file, lambda w: w | {name: w[name][:1] for name in w if name.startswith("003")})
        with pytest.raises(ValueError, match=r"weight 003.* must have shape \(4,\); got \(1,\)"):
            load_segmenter(file)

    def test_another_file_of_this_kind(self, tmp_path):
        save_file({"a": np.zeros(3)}, tmp_path / "m", metadata={"other": "{}"})
        with pytest.raises(ValueError, match="got a .safetensors file without flowseg's metadata"):
            read_document(tmp_path / "m")

    def test_other_types(self, file):
        self.change(file, lambda w: {name: value.astype(np.float64) for name, value in w.items()})
        with pytest.raises(ValueError, match="must have dtype float32; got F64"):
            load_segmenter(file)

    @pytest.mark.parametrize("state", ["missing", "a folder", "a pipe"])
    def test_what_is_no_file(self, state, tmp_path):
        import os

        path = tmp_path / "m"
        make = {"missing": lambda _: None, "a folder": os.mkdir, "a pipe": getattr(os, "mkfifo", None)}[state]
        if make is None:
            pytest.skip("no pipes here")
        make(path)
        words = {"missing": "does not exist", "a folder": "is a folder", "a pipe": "is no file"}[state]
        with pytest.raises(FileNotFoundError, match=f"path must be a model file; got .*, which {words}"):
            read_document(path)


class TestState:
    """The state in a checkpoint's metadata."""

    @staticmethod
    def write(path, text):
        save_file({}, str(path), metadata={METADATA_KEY: text})

    @pytest.mark.parametrize(
        "change",
        [
            {"fingerprint": 5},
            {"stopped": 1},
            {"seeds": [1, 2, -3]},
            {"seeds": [1, 2, True]},
            {"seeds": [1, 2, 2**32]},
            {"epochs_done": -1},
            {"epochs_done": True},
            {"epochs_done": 1.0},
            {"epochs_done": 1},  # without its loss
            {"wait": -1},
            {"wait": None},
            {"best": "1"},
            {"best": True},
            {"history": {"loss": 5}},
            {"history": {"loss": ["1"]}, "epochs_done": 1},
            {"history": {"loss": [True]}, "epochs_done": 1},
            {"history": {"loss": [10**400]}, "epochs_done": 1},
            {"extra": 1},
            {"fingerprint": [[]]},
        ],
        ids=str,
    )
    def test_values(self, change, tmp_path):
        self.write(tmp_path / "c", json.dumps(STATE | change))
        with pytest.raises(ValueError, match="checkpoint must be a file that fit wrote, or a new one"):
            read_state(tmp_path / "c")

    @pytest.mark.parametrize(
        "text", ["[" * 100_000, '{"fingerprint": "", "seeds": [1, 2, 3], "seeds": [1, 2, 3]}', "5", "null", "[]", "{}"]
    )
    def test_documents(self, text, tmp_path):
        self.write(tmp_path / "c", text)
        with pytest.raises(ValueError, match="checkpoint must be a file that fit wrote, or a new one"):
            read_state(tmp_path / "c")

    def test_what_is_read(self, tmp_path):
        change = {"best": np.inf, "history": {"loss": [np.nan, 1]}, "epochs_done": 2}
        self.write(tmp_path / "c", json.dumps(STATE | change))
        assert read_state(tmp_path / "c").epochs_done == 2


def change_metadata(path, **changes):
    header, data = take_apart(path)
    header = json.loads(header)
    state = json.loads(header["__metadata__"][METADATA_KEY]) | changes
    put_together(path, json.dumps(header | {"__metadata__": {METADATA_KEY: json.dumps(state)}}), data)


def test_a_checkpoint_of_more_epochs_or_other_weights(pairs, small, tmp_path):
    images, masks = zip(*pairs[:4])
    file, known = tmp_path / "c", {"validation": (images[:1], masks[:1])}
    options = small | {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1}
    FlowSegmenter(**options).fit(images, masks, **known, checkpoint=file)
    whole = file.read_bytes()
    change_metadata(file, epochs_done=2, history={"loss": [1.0, 2.0]})
    with pytest.raises(ValueError, match="checkpoint must hold this very training"):
        FlowSegmenter(**options).fit(images, masks, **known, checkpoint=file)
    file.write_bytes(whole.replace(b'"best/0000"', b'"worst/000"'))
    with pytest.raises(ValueError, match="checkpoint must hold the whole training; .* of another network"):
        FlowSegmenter(**options).fit(images, masks, **known, checkpoint=file)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"command": "a", "command": "b"}', "NaN", '{"command": 1e999}'])
def test_a_record_that_is_none(line, tmp_path):
    (tmp_path / RECORD_NAME).write_text(line + "\n")
    with pytest.raises(ValueError, match="must be a readable record of a flowseg command; got"):
        read_record(tmp_path)


class TestTrainedWith:
    def test_it_is_kept(self, model, tmp_path):
        model.save(tmp_path / "a")
        machine = read_document(tmp_path / "a")["trained_with"]
        assert machine == {"keras": "3.15.1", "cores": 2, "threads": 2, "onednn": "default"}
        FlowSegmenter.load(tmp_path / "a").save(tmp_path / "b")
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_machine_of_a_training(self, fitted, monkeypatch):
        machine = fitted["FlowSegmenter"].fitted_.trained_with
        assert {"flowseg", "keras", "backend", "numpy", "python", "platform"} <= set(machine)
        assert {"instructions", "devices", "cores", "threads", "onednn"} <= set(machine)
        assert json.loads(json.dumps(machine)) == machine == describe_machine()  # or other bytes would come every time
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        assert describe_machine()["onednn"] == "0"

    def test_it_is_that_of_the_training_not_of_the_save(self, file, tmp_path):
        with_text(file, lambda text: text.replace('"onednn": "', '"onednn": "once '))
        FlowSegmenter.load(file).save(tmp_path / "again")
        assert read_document(tmp_path / "again")["trained_with"]["onednn"].startswith("once ")

    def test_files_of_before(self, file, tmp_path):
        def change(text):
            document = json.loads(text)
            del document["trained_with"]
            return json.dumps(document)

        with_text(file, change)
        FlowSegmenter.load(file).save(tmp_path / "again")
        assert "trained_with" not in read_document(tmp_path / "again")

    def test_info(self, file, capsys):
        from flowseg.cli._info import info

        info(str(file))
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("trained with: "))
        assert "keras " in line
        assert "cores" in line or "1 core" in line
        assert "oneDNN " in line
        info("nuclei")
        assert "trained with" not in capsys.readouterr().out
