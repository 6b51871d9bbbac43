"""Runs of `flowseg.blockwise` that cannot be done: one sentence each, and nothing left that a later run would trust."""

import copy
import errno
import os
import shutil

import numpy as np
import pytest
import tifffile

from flowseg import FlowSegmenter, io, synthetic

pytest.importorskip("zarr", reason="the extra `large` is not installed")
import zarr
from zarr_files import change_metadata, write_ome_zarr

from flowseg import blockwise
from flowseg.blockwise import _preparation, _segment
from flowseg.blockwise._runs import job as jobs
from flowseg.blockwise._runs.job import work_folder_of
from flowseg.blockwise._runs.runners import dask_client
from flowseg.blockwise._stages.network import NetworkStage
from flowseg.blockwise._stores.labels import LabelsStore

pytestmark = pytest.mark.filterwarnings("ignore:.*probably false positives:UserWarning")
IMAGE = (synthetic.cells((150, 130), 15, rng=9)[0] * 40000).astype(np.uint16)


@pytest.fixture(scope="module")
def model(tiny):
    return tiny["FlowSegmenter"]


@pytest.fixture
def path(tmp_path):
    """The image as an OME-Zarr."""
    write_ome_zarr(tmp_path / "image.zarr", IMAGE)
    return tmp_path / "image.zarr"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.zarr"


def run_parts(model, image, output, **options):
    """A whole run in this process."""
    blockwise.plan(model, image, output, **{"block_size": 64} | options)
    blockwise.run_part(output, 1, 1)
    blockwise.finish(output)
    return zarr.open_array(output / "labels/objects/0", mode="r")[...]


def go_on(model, output):
    """Do what is left of a run, and compare its labels with those of the whole image."""
    blockwise.run_part(output, 1, 1)
    blockwise.finish(output)
    assert np.array_equal(zarr.open_array(output / "labels/objects/0", mode="r")[...], model.predict(IMAGE))
    assert not work_folder_of(output).exists()


def refuses(tmp_path, error, sentence, *arguments, **options):
    """`segment` and `plan` raise, and leave everything as it was."""
    before = sorted(tmp_path.rglob("*"))
    for function, more in ((blockwise.segment, {"workers": 1}), (blockwise.plan, {})):
        if not {"resume", "client", "workers"} & set(options) or function is blockwise.segment:
            with pytest.raises(error, match=sentence):
                function(*arguments, **({} if "client" in options else more) | options)
            assert sorted(tmp_path.rglob("*")) == before


# Places


def test_the_output_exists(model, path, tmp_path, output):
    output.mkdir()
    refuses(tmp_path, FileExistsError, r"out\.zarr must not exist yet; it does", model, path, output)
    refuses(tmp_path, FileExistsError, "must not exist yet", model, path, output, resume=True)
    zarr.open_group(path / "labels/objects", mode="w")
    refuses(tmp_path, FileExistsError, "must have no labels 'objects' yet; it has", model, path, path)


@pytest.mark.parametrize("inside", ["labels", "labels/cells", "0", "0/c", "new.zarr"])
def test_the_output_lies_in_the_image(model, path, tmp_path, inside):
    refuses(tmp_path, ValueError, "output must not lie inside the image", model, path, path / inside)


def test_places_that_are_none(model, path, tmp_path):
    refuses(tmp_path, FileNotFoundError, "must lie in a folder that exists", model, path, tmp_path / "a/b.zarr")
    refuses(tmp_path, ValueError, "output must be a path in a folder .* no URL", model, path, "s3://bucket/out.zarr")
    refuses(tmp_path, TypeError, "output must be a path; got 3", model, path, 3)
    mine = tmp_path / "out.zarr.blocks"
    mine.mkdir()
    (mine / "image.json").write_text("mine")
    refuses(tmp_path, ValueError, "must be one of a block-wise run; it has no plan", model, path, tmp_path / "out.zarr")
    assert (mine / "image.json").read_text() == "mine"


def test_something_in_the_place_of_a_folder_that_was_removed(model, path, tmp_path, output):
    """It has the name of what a finished run removes, but no mark."""
    mine = tmp_path / "out.zarr.blocks.removed"
    mine.mkdir()
    (mine / "a").touch()
    blockwise.plan(model, path, output)
    assert (mine / "a").exists()


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"block_size": 0}, ValueError, "block_size must be .*at least 64.*; got 0"),
        ({"block_size": 63}, ValueError, "block_size must be .*; got 63"),
        ({"block_size": "x"}, TypeError, "block_size must be .*; got 'x'"),
        ({"block_size": 100.5}, TypeError, "block_size must be .*; got 100.5"),
        ({"workers": 0}, ValueError, "workers must be .*; got 0"),
        ({"resume": "yes"}, TypeError, "resume must be .*; got 'yes'"),
        ({"diameters": -1}, ValueError, "diameters must be"),
        ({"diameters": "guess"}, (TypeError, ValueError), "diameters must be"),
        ({"client": 3}, TypeError, "client must be a dask.distributed.Client; got int"),
        ({"client": 3, "workers": 1}, ValueError, "workers must be None with a client"),
        ({"axes": "QYX"}, ValueError, "axes must be letters of TZCYXS"),
        ({"channel": 1}, ValueError, "channel must be below 1"),
        ({"z": -1}, ValueError, "z must be"),
        ({"scene": 4}, ValueError, "scene must be"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_arguments(model, path, tmp_path, output, options, error, sentence):
    refuses(tmp_path, error, sentence, model, path, output, **options)


def test_segmenters_that_cannot_be_used(model, path, tmp_path, output):
    from sklearn.exceptions import NotFittedError

    refuses(tmp_path, TypeError, "segmenter must be a FlowSegmenter or a BoundarySegmenter; got str", "x", path, output)
    refuses(tmp_path, NotFittedError, "fit", FlowSegmenter(), path, output)
    changed = copy.copy(model).set_params(n_iter=50)
    refuses(tmp_path, ValueError, "n_iter must be None to segment block by block", changed, path, output)


def test_a_custom_network(tmp_path, path, output, pairs):
    import keras

    def build(n_channels, n_outputs):
        image = keras.Input((None, None, n_channels))
        return keras.Model(image, keras.layers.Conv2D(n_outputs, 3, padding="same")(image))

    custom = FlowSegmenter(network=build, crop_size=64, epochs=1, steps_per_epoch=1, batch_size=2, random_state=1)
    custom.fit(*zip(*pairs[:2]))
    refuses(tmp_path, ValueError, "network must be 'unet' or 'resunet' to segment block by block", custom, path, output)


# Images


@pytest.mark.parametrize(
    ("shape", "axes", "sentence"),
    [
        ((2, 60, 60), "tyx", r"holds .*2 .*time|Choose .* t"),
        ((3, 60, 60), "zyx", "plane"),
        ((2, 60, 60), "cyx", "must have 1 channel; it has 2, .* Choose with channel"),
        ((2, 2, 60, 60), "tcyx", "time"),
    ],
)
def test_more_than_one_plane(model, tmp_path, output, shape, axes, sentence):
    write_ome_zarr(tmp_path / "image.zarr", np.ones(shape, np.uint8), axes)
    refuses(tmp_path, (io.InvalidFileError, ValueError), sentence, model, tmp_path / "image.zarr", output)
    if set(axes) <= set("tzyx"):
        tifffile.imwrite(tmp_path / "a.ome.tif", np.ones(shape, np.uint8), metadata={"axes": axes.upper()})
        refuses(tmp_path, (io.InvalidFileError, ValueError), sentence, model, tmp_path / "a.ome.tif", output)


def test_unknown_axes(model, tmp_path, output):
    write_ome_zarr(tmp_path / "image.zarr", np.ones((2, 60, 60), np.uint8), "ayx")
    refuses(tmp_path, io.InvalidFileError, "image.zarr .*axes", model, tmp_path / "image.zarr", output)
    tifffile.imwrite(tmp_path / "a.tif", np.ones((5, 60, 60), np.uint8), photometric="minisblack")
    refuses(tmp_path, ValueError, "a.tif .*axes", model, tmp_path / "a.tif", output)
    refuses(tmp_path, ValueError, "must have 1 channel; it has 60", model, np.ones((5, 60, 60)), output)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["multiscales"][0]["datasets"].reverse(),
        lambda a: a["multiscales"][0]["datasets"][0].update(path="absent"),
        lambda a: a["multiscales"][0].update(axes=a["multiscales"][0]["axes"][:1]),
        lambda a: a["multiscales"].clear(),
        lambda a: a.update(multiscales=3),
    ],
    ids=["reversed", "absent", "one axis", "none", "a number"],
)
def test_wrong_metadata(model, path, tmp_path, output, change):
    change_metadata(path, change)
    refuses(tmp_path, io.InvalidFileError, r"image\.zarr", model, path, output)


def test_values_that_are_not_finite(model, tmp_path, output):
    values = IMAGE.astype(np.float32)
    values[40, 50] = np.nan
    refuses(tmp_path, ValueError, "image must be finite; got 1 NaN or infinite value", model, values, output)
    tifffile.imwrite(tmp_path / "nan.tif", values, tile=(64, 64))
    with pytest.raises(ValueError, match=r"nan\.tif must be finite; got 1 NaN") as error:
        run_parts(model, tmp_path / "nan.tif", output)
    assert error.value.__notes__[0].startswith("stage scan-a, block 0")


def test_a_damaged_chunk(model, path, tmp_path, output):
    chunk = path / "0/c/1/1"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(io.InvalidFileError, match=r"image\.zarr"):
        run_parts(model, path, output)
    with pytest.raises(ValueError, match=r"image\.zarr") as error:
        blockwise.segment(model, path, output, block_size=64, workers=1, resume=True)
    assert "\n" not in str(error.value)


# Resuming


def test_an_unfinished_run(model, path, output):
    blockwise.plan(model, path, output, block_size=64)
    with pytest.raises(
        FileExistsError, match="must have no unfinished run; .* Continue it with resume=True, or delete"
    ):
        blockwise.segment(model, path, output, block_size=64, workers=1)
    go_on(model, output)


@pytest.mark.parametrize(
    ("parameters", "options", "difference"),
    [
        ({}, {"block_size": 100}, "block_size was 64, is 100"),
        ({}, {"diameters": 30}, r"diameters was None, is \(30.0,\)"),
        ({}, {"diameters": "estimate"}, "diameter was None, is estimate"),
        ({"min_size": 3}, {}, "min_size was .*, is 3"),
        ({"normalize": ("limits", 0.0, 9.0)}, {}, "normalize was .*, is .*9.0"),
        ({"test_time_augmentation": True}, {}, "test_time_augmentation was False, is True"),
        ({}, {"axes": "YX"}, "axes was None, is YX"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_another_run_is_not_resumed(model, path, output, parameters, options, difference):
    blockwise.plan(model, path, output, block_size=64)
    other = copy.copy(model).set_params(**parameters)
    with pytest.raises(ValueError, match=f"resume must be given what .* was started with; {difference}") as error:
        blockwise.segment(other, path, output, **{"block_size": 64} | options, workers=1, resume=True)
    assert str(error.value).count(" was ") == 2
    with pytest.raises(ValueError, match=difference):
        blockwise.plan(other, path, output, **{"block_size": 64} | options)


def test_another_model_or_image_is_not_resumed(model, tiny, path, output):
    blockwise.plan(model, path, output, block_size=64)
    other = copy.deepcopy(model)
    weights = other.network_.get_weights()
    other.network_.set_weights([weights[0] + 1, *weights[1:]])
    for segmenter, image, difference in (
        (other, path, "the model was [0-9a-f]{12}, is [0-9a-f]{12}"),
        (tiny["BoundarySegmenter"], path, "the segmenter was FlowSegmenter, is BoundarySegmenter"),
        (model, IMAGE, "the image was .*, is image"),
        (model, path / "1", "the image was "),
    ):
        with pytest.raises(ValueError, match=difference):
            blockwise.segment(segmenter, image, output, block_size=64, workers=1, resume=True)
    changed = zarr.open_array(path / "0", mode="r+")
    changed[0, 0] = changed[0, 0] + 1
    with pytest.raises(ValueError, match="the image has changed"):
        blockwise.segment(model, path, output, block_size=64, workers=1, resume=True)
    with pytest.raises(ValueError, match=r"image .*image\.zarr.* its files have changed"):
        blockwise.run_part(output, 1, 1)


def test_a_changed_array_is_not_resumed(model, output):
    blockwise.plan(model, IMAGE, output, block_size=64)
    with pytest.raises(ValueError, match="the image has changed"):
        blockwise.plan(model, IMAGE + 1, output, block_size=64)
    go_on(model, output)


# Interruptions


@pytest.mark.sampled(3)
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("place", ["stage_labels", "write_spec", "place_labels", "write_plan"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_the_start(model, path, output, place, when, beside, monkeypatch):
    """A new run and one that is resumed can go on; what is in the place of the output is not removed."""
    target = path if beside else output
    module = {"write_plan": jobs, "place_labels": _segment}.get(place, _preparation)
    with monkeypatch.context() as patch:
        real = getattr(module, place)

        def killed(*arguments):
            if when == "after":
                real(*arguments)
            raise KeyboardInterrupt

        patch.setattr(module, place, killed)
        with pytest.raises(KeyboardInterrupt):
            blockwise.plan(model, path, target, block_size=64)
    has_plan = place == "place_labels" or (place, when) == ("write_plan", "after")
    is_placed = (path / "labels/objects" if beside else output).exists()
    assert is_placed == ((place, when) == ("place_labels", "after"))
    if has_plan and not is_placed:
        with pytest.raises(ValueError, match="must be planned completely; planning was interrupted. Plan it again"):
            blockwise.run_part(target, 1, 1)
    blockwise.plan(model, path, target, block_size=64)
    go_on(model, target)


def test_something_comes_into_the_place_of_the_output(model, path, output, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_segment, "place_labels", lambda store, folder: (output.mkdir(), (output / "mine").touch()))
        blockwise.plan(model, path, output, block_size=64)
    with pytest.raises(FileExistsError, match=r"output .*out\.zarr must not exist yet; it does"):
        blockwise.plan(model, path, output, block_size=64)
    assert os.listdir(output) == ["mine"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("n", [1, 5, 13, 21, 33])
def test_no_space_left_for_records(model, path, output, n, monkeypatch):
    """The writes of odd numbers are those of files, the others those of their folders."""
    blockwise.plan(model, path, output, block_size=64)
    fsync, n_writes = os.fsync, [0]

    def full(descriptor):
        n_writes[0] += 1
        if n_writes[0] == n:
            os.truncate(descriptor, 20)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{work_folder_of(output)}"):
        blockwise.run_part(output, 1, 1)
    go_on(model, output)


def test_no_space_left_for_labels(model, path, output, monkeypatch):
    blockwise.plan(model, path, output, block_size=64)
    write, n_writes = LabelsStore.write_block, [0]

    def full(store, level, window, labels):
        n_writes[0] += 1
        if n_writes[0] == 3:
            write(store, level, window, labels // 2)  # which is not what belongs there
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), store.location)
        write(store, level, window, labels)

    with monkeypatch.context() as patch:
        patch.setattr(LabelsStore, "write_block", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*labels/objects'"):
            blockwise.run_part(output, 1, 1)
    with pytest.raises(
        ValueError, match=r"must be done before it is finished; \d of 9 blocks of stage labels are left"
    ):
        blockwise.finish(output)
    go_on(model, output)


def test_no_space_left_at_the_start(model, path, output, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model")

    with monkeypatch.context() as patch:
        patch.setattr(_preparation, "write_spec", full)
        with pytest.raises(OSError, match="No space left"):
            blockwise.segment(model, path, output, block_size=64, workers=1)
    assert not output.exists()
    blockwise.plan(model, path, output, block_size=64)
    go_on(model, output)


@pytest.mark.parametrize("what", ["image", "output", "work folder"])
def test_a_folder_that_vanishes(model, path, output, what, monkeypatch):
    blockwise.plan(model, path, output, block_size=64)
    place = {"image": path, "output": output, "work folder": work_folder_of(output)}[what]
    run = NetworkStage.run

    def vanish(stage, job, index):
        if index == 0 and place.exists():
            shutil.move(place, place.with_name("elsewhere"))
        run(stage, job, index)

    with monkeypatch.context() as patch:
        patch.setattr(NetworkStage, "run", vanish)
        with pytest.raises(FileNotFoundError, match=r"must stay .*; it has vanished") as error:
            blockwise.run_part(output, 1, 1)
        assert str(place) in str(error.value)
    assert not place.exists()
    if what == "output":
        with pytest.raises(
            FileNotFoundError, match=r"output .*out\.zarr must stay .* Delete .*\.blocks to begin again"
        ):
            blockwise.segment(model, path, output, block_size=64, workers=1, resume=True)
    shutil.move(place.with_name("elsewhere"), place)
    go_on(model, output)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("stage", ["scan-a", "outputs-a", "fragments", "check", "labels"])
@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_damaged_records(model, path, output, stage, damage):
    blockwise.plan(model, path, output, block_size=64)
    blockwise.run_part(output, 1, 1)
    folder = work_folder_of(output)
    shutil.rmtree(folder / "merge")
    shutil.rmtree(folder / "labels")
    for file in (folder / stage).glob("0.*"):
        data = file.read_bytes()
        if damage == "removed":
            file.unlink()
        else:
            file.write_bytes(data[:-7] if damage == "cut" else data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
    go_on(model, output)


def test_a_plan_that_is_damaged(model, path, output):
    blockwise.plan(model, path, output, block_size=64)
    plan = work_folder_of(output) / "plan.json"
    plan.write_text(plan.read_text()[:-20])
    for go in (lambda: blockwise.run_part(output, 1, 1), lambda: blockwise.plan(model, path, output)):
        with pytest.raises(io.InvalidFileError, match=r"plan\.json"):
            go()


# Clients


def test_a_client_without_workers(model, path, tmp_path, output, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(dask_client, "FIRST_WORKER", 0.2)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            sentence = "client must have workers; it had none for 0.2 seconds"
            refuses(tmp_path, TimeoutError, sentence, model, path, output, client=client)
        refuses(
            tmp_path, ValueError, "must be connected to a scheduler; it is closed", model, path, output, client=client
        )


@pytest.mark.parametrize(
    ("state", "error", "sentence"),
    [
        (("9.9", (), True, ()), ValueError, r"workers must have flowseg .*, as the client has; .* has 9\.9"),
        ((None, ("zarr",), True, ()), ImportError, r"workers must have the extra 'large', .* lacks zarr: install"),
        ((None, (), False, ()), FileNotFoundError, "workers must see the work folder under the same path"),
    ],
    ids=["version", "extra", "folder"],
)
def test_workers_that_cannot_be_used(model, path, output, state, error, sentence, monkeypatch):
    distributed = pytest.importorskip("distributed")
    found = dask_client.WorkerState(state[0] or dask_client.__version__, *state[1:])
    monkeypatch.setattr(dask_client, "describe_worker", lambda folder: found)
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(error, match=sentence),
    ):
        blockwise.segment(model, path, output, block_size=64, client=client)
    blockwise.plan(model, path, output, block_size=64)
    go_on(model, output)
