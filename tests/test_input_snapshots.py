"""What a record says of an input is true of the bytes that were read, whenever the file is replaced."""

import os
import shutil

import numpy as np
import pytest
import tifffile
from cli_tools import contents, invoke

from flowseg import io
from flowseg.cli import _convert, _predict
from flowseg.cli._batch import input_snapshots, run_record
from flowseg.cli._batch.input_snapshots import take_snapshot

OLD, NEW = np.eye(9, dtype=np.uint8), np.tri(9, dtype=np.uint8)


def replace(file, array, keep_time=False):
    """Put another file in the place of one, as a microscope or a copy does."""
    status = file.stat()
    tifffile.imwrite(file.with_name("new"), array, compression="zlib")
    if keep_time:
        os.utime(file.with_name("new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(file.with_name("new"), file)


def rewrite(file, array, keep_time=False):
    """Write other bytes into the same file."""
    status = file.stat()
    file.write_bytes(b"")
    tifffile.imwrite(file, array, compression="zlib")
    if keep_time:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", OLD)
    return folder


@pytest.mark.parametrize("old_file", [True, False])
@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("how", [replace, rewrite])
@pytest.mark.parametrize("when", ["before it is read", "after it was read", "when results are written"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_is_replaced_during_the_run(workers, when, how, keep_time, old_file, source, tmp_path, monkeypatch):
    file, output, left = source / "a.tif", tmp_path / "out", [True]
    if old_file:  # long enough ago for times to tell
        for each in source.iterdir():
            os.utime(each, (1e9, 1e9))
        monkeypatch.setattr(input_snapshots, "SAME_TIME", -1e12)
    read, write = io.read_masks, _convert.write_results

    def read_masks(path, **options):
        now = path == file and left and left.pop()
        if now and when == "before it is read":
            how(file, NEW, keep_time)
        array = read(path, **options)
        if now and when == "after it was read":
            how(file, NEW, keep_time)
        elif now:
            left.append(True)
        return array

    def write_results(folder, name, kinds, result):
        write(folder, name, kinds, result)
        if name == "a" and when == "when results are written" and left and left.pop():
            how(file, NEW, keep_time)

    monkeypatch.setattr(io, "read_masks", read_masks)
    monkeypatch.setattr(_convert, "write_results", write_results)
    arguments = ("convert", source, "--output", output, "--workers", workers)
    result = invoke(*arguments, status=1)
    assert f"{file} must not change while it is in use; it did." in result.stderr
    assert contents(output).keys() == {"b_masks.tif", run_record.RECORD_NAME}
    monkeypatch.undo()
    assert "(1 of them done before)" in invoke(*arguments, "--resume").output
    assert np.array_equal(io.read_masks(output / "a_masks.tif"), NEW)


def test_a_file_that_is_only_touched(source, tmp_path, monkeypatch):
    read = io.read_masks

    def read_masks(path, **options):
        path.touch()
        os.link(path, path.with_suffix(".link"))
        return read(path)

    monkeypatch.setattr(io, "read_masks", read_masks)
    invoke("convert", source, "--output", tmp_path / "out")


def test_a_file_that_vanishes(source, tmp_path, monkeypatch):
    read = io.read_masks

    def read_masks(path, **options):
        array = read(path, **options)
        path.unlink()
        return array

    monkeypatch.setattr(io, "read_masks", read_masks)
    result = invoke("convert", source, "--output", tmp_path / "out", status=1)
    assert "2 of 2 files failed" in result.stderr


def test_annotations_of_several_images_are_read_when_tasks_are_made(source, tmp_path, monkeypatch):
    annotations, other, output = tmp_path / "coco.json", tmp_path / "other.json", tmp_path / "out"
    io.write_coco(annotations, {"a.tif": OLD, "b.tif": OLD})
    io.write_coco(other, {"a.tif": NEW, "b.tif": NEW})
    plan = _convert.plan_batch

    def late(*arguments, **options):
        shutil.copy(other, annotations)
        return plan(*arguments, **options)

    monkeypatch.setattr(_convert, "plan_batch", late)
    result = invoke("convert", annotations, "--output", output, status=1)
    assert result.stderr.count(f"{annotations} must not change while it is in use; it did.") == 2
    monkeypatch.undo()
    invoke("convert", annotations, "--output", output, "--resume")
    assert np.array_equal(io.read_masks(output / "a_masks.tif"), NEW)


def test_coco_is_of_what_was_read(source, tmp_path, monkeypatch):
    """Masks are read once more for the file of all."""
    run = _convert.run_batch

    def late(batch, stages, title, coco):
        def changed():
            replace(source / "a.tif", NEW)
            return coco()

        run(batch, stages, title, changed)

    monkeypatch.setattr(_convert, "run_batch", late)
    result = invoke("convert", source, "--output", tmp_path / "out", "--to", "tif,coco", status=1)
    assert "a.tif must not change while it is in use" in result.stderr
    assert not (tmp_path / "out" / "coco.json").exists()


def test_a_model_that_is_replaced_during_the_run(fitted, source, tmp_path, monkeypatch):
    file, other, output = tmp_path / "model.safetensors", tmp_path / "other.safetensors", tmp_path / "out"
    fitted["FlowSegmenter"].save(file)
    fitted["BoundarySegmenter"].save(other)
    load = _predict.load_model

    def late(path, parameters):
        os.replace(other, file)
        return load(path, parameters)

    monkeypatch.setattr(_predict, "load_model", late)
    result = invoke("predict", source, "--model", file, "--output", output, status=1)
    assert str(result.exception) == f"{file} must not change while it is in use; it did."
    assert not output.exists()


def test_partners_count(tmp_path):
    """The image of outlines, the files in a folder."""
    folder = tmp_path / "set"
    folder.mkdir()
    tifffile.imwrite(folder / "0.ome.tif", OLD)
    snapshot = take_snapshot(folder)
    (folder / "1.tif").touch()
    assert take_snapshot(folder).digest != snapshot.digest
    with pytest.raises(ValueError, match="must not change"):
        snapshot.check()
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_text("1")
    two.write_text("2")
    both = take_snapshot(one, two)
    two.write_text("3")
    assert take_snapshot(one, two).digest != both.digest
    with pytest.raises(ValueError, match=f"{two} must not change while it is in use; it did"):
        both.check()


def test_files_of_an_ome_set_count(tmp_path):
    names = ["t0.ome.tif", "t1.ome.tif"]
    for k, name in enumerate(names):
        parts = "".join(
            f'<TiffData FirstT="{i}" IFD="0" PlaneCount="1"><UUID FileName="{other}">urn:uuid:{i}</UUID></TiffData>'
            for i, other in enumerate([*names, "../../etc/passwd", "missing.tif"])
        )
        said = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{k}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="9" SizeY="9" SizeZ="1" SizeC="1" SizeT="2">{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / name, OLD, description=said, metadata=None)
    before = take_snapshot(tmp_path / names[0])
    assert [os.path.basename(stamp[0]) for stamp in before.stamps] == [names[0], names[1]]
    tifffile.imwrite(tmp_path / names[1], NEW)
    assert take_snapshot(tmp_path / names[0]).digest != before.digest


def test_half_a_line_in_the_record(source, tmp_path):
    """Wherever a kill cut the record, the lines before count, the rest is done again, to the same bytes."""
    output = tmp_path / "out"
    arguments = ("convert", source, "--output", output, "--resume")
    invoke(*arguments)
    record = output / run_record.RECORD_NAME
    whole, expected = record.read_bytes(), contents(output)
    second, third = (i + 1 for i, byte in enumerate(whole[:-1]) if byte == ord("\n"))
    for length in (0, 5, second - 1, second, second + 1, third - 1, third, third + 1, len(whole) - 1, len(whole)):
        record.write_bytes(whole[:length])
        n_whole = whole[:length].count(b"\n")
        _, entries = run_record.read_record(output)
        assert len(entries) == max(n_whole - 1, 0)
        if n_whole:  # else nobody knows whose results these are
            result = invoke(*arguments)
            assert ("of them done before" in result.output) == (n_whole > 1)
            assert contents(output) == expected


def test_half_a_line_is_taken_back(tmp_path, monkeypatch):
    """What a full disk took of a line would spoil the next one."""
    run = run_record.Run("convert", "", ())
    record = run_record.Record(tmp_path, run, [])
    entries = [run_record.Entry(name, name, "0" * 64, 1) for name in "abc"]
    record.add(entries[0])
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:20]))
    with pytest.raises(OSError, match="must have room for another line; the disk is full"):
        record.add(entries[1])
    monkeypatch.undo()
    record.add(entries[2])
    assert run_record.read_record(tmp_path) == (run, {"a": entries[0], "c": entries[2]})
