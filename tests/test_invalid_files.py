"""Readers call a file invalid where its content is; a bug of flowseg's own is never called a damaged file."""

import ast
import errno
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

import flowseg
from flowseg import io
from flowseg._image_files import labels, pixel_size, png_jpeg_bmp, reading, selection, tiff, tiff_limits, tiff_planes
from flowseg._system.invalid_file import InvalidFileError, StoredFile
from flowseg.io import (
    _annotations,
    _cellpose,
    _coco,
    _coco_segments,
    _cvat,
    _documents,
    _flow_stacks,
    _geojson,
    _labkit,
    _mat,
    _roi,
    _roi_shapes,
)
from flowseg.io._entries import UnreadableEntryError, parsing_entry

MASKS = np.pad(np.kron([[1, 0], [2, 2]], np.ones((3, 4), int)), 2).astype(np.uint8)
RLE = '<mask label="a" rle="0,4" left="0" top="0" width="2" height="2"/>'
ELLIPSE = '<ellipse label="a" cx="5" cy="5" rx="3" ry="2"/>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A right file for every reader."""
    folder = tmp_path_factory.mktemp("files")
    io.write_masks(folder / "a.tif", MASKS)
    tifffile.imwrite(
        folder / "a.ome.tif", MASKS[np.newaxis], metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    )
    tifffile.imwrite(folder / "plain.tif", MASKS, metadata=None, compression="jpeg2000")
    Image.fromarray(MASKS).save(folder / "a.png")
    io.write_coco(folder / "runs.json", {"a.png": MASKS})
    polygons = json.loads((folder / "runs.json").read_text())
    polygons["annotations"][0]["segmentation"] = [[1, 1, 5, 1, 5, 5]]
    (folder / "polygons.json").write_text(json.dumps(polygons))
    io.write_geojson(folder / "a.geojson", MASKS)
    io.write_roi(folder / "a.zip", MASKS)
    with zipfile.ZipFile(folder / "a.zip") as archive:
        (folder / "a.roi").write_bytes(archive.read(archive.namelist()[0]))
    (folder / "a.xml").write_text(
        f'<annotations><image name="a" width="12" height="10">{RLE}{ELLIPSE}</image></annotations>'
    )
    (folder / "a.labeling").write_text('{"interval": {"min": [0, 0], "max": [9, 9]}, "labels": {"a": [[1, 2]]}}')
    savemat(folder / "a.mat", {"inst_map": MASKS.astype(float)}, do_compression=True)
    np.save(folder / "a_seg.npy", {"masks": MASKS})
    flowseg.labels_to_flows([MASKS], files=[folder / "a_flows.tif"])
    (folder / "a_outlines.txt").write_text("1,1,5,1,5,5\n")
    return folder


def with_shape(reader):
    return lambda path: reader(path, MASKS.shape)


def read_stack(path):
    return flowseg.labels_to_flows([MASKS], files=[path])


# Reader, file, and functions of ours that are called while it is read.
CASES = [
    (io.read_image, "a.tif", [(tiff, "_transform"), (selection, "orient"), (tiff_planes, "_check_segments"),
                              (reading, "choose_part")]),
    (io.read_image, "plain.tif", [(tiff_limits, "coded_shape"), (tiff, "_has_next_page")]),
    (io.read_image, "a.ome.tif", [(tiff_limits, "_check_ome"), (tiff_limits, "whole_number"), (tiff, "n_images")]),
    (io.read_pixel_size, "a.ome.tif", [(pixel_size, "_from_ome"), (pixel_size, "_valid")]),
    (io.read_pixel_size, "a.tif", [(pixel_size, "_from_tags")]),
    (io.read_image, "a.png", [(png_jpeg_bmp, "_png_exif"), (png_jpeg_bmp, "_describe"), (png_jpeg_bmp, "_decode"),
                              (png_jpeg_bmp, "pick"), (png_jpeg_bmp, "_other_pictures")]),
    (io.read_masks, "a.tif", [(reading, "_colors_last"), (labels, "_as_whole_numbers")]),
    (io.read_object_files, "a.tif", [(_annotations, "_read_foreground"), (_annotations.Canvas, "add")]),
    (io.read_coco, "runs.json", [(_coco, "_shape_of"), (_coco, "_look_up"), (_coco, "decode_segmentation"),
                                 (_coco_segments, "unpack_runs"), (_coco_segments, "_box"), (_coco, "read_json")]),
    (io.read_coco, "polygons.json", [(_coco_segments, "_fill"), (_coco_segments, "as_floats")]),
    (with_shape(io.read_geojson), "a.geojson", [(_geojson, "_outlines"), (_geojson, "_plane"), (_geojson, "_polygons"),
                                                (_geojson, "check_corners"), (_geojson.Canvas, "add_polygons")]),
    (io.read_cvat, "a.xml", [(_cvat, "_names"), (_cvat, "_number"), (_cvat, "_add_mask"), (_cvat, "_add_ellipse"),
                             (_cvat.Canvas, "add_inside"), (_documents.StoredFile, "read_bytes")]),
    (io.read_labkit, "a.labeling", [(_labkit, "_read_interval"), (_labkit, "_places")]),
    (io.read_mat, "a.mat", [(_mat, "_element"), (_mat, "_describe"), (_mat, "_inflate"), (_mat.Matrix, "read"),
                            (_annotations, "as_label_image")]),
    (with_shape(io.read_roi), "a.zip", [(_roi, "draw_region"), (_roi_shapes, "check_corners"), (_roi, "_planes")]),
    (with_shape(io.read_roi), "a.roi", [(_roi, "_regions"), (_roi_shapes, "as_floats")]),
    (io.read_cellpose, "a_seg.npy", [(_cellpose, "_check_opcodes"), (_cellpose._Array, "make")]),
    (io.read_cellpose, "a_flows.tif", [(_cellpose, "read_tiff"), (_cellpose, "_labels_of_flows")]),
    (with_shape(io.read_cellpose), "a_outlines.txt", [(_cellpose, "read_text"), (_cellpose.Canvas, "add_outline")]),
    (read_stack, "a_flows.tif", [(_flow_stacks, "read_tiff")]),
]  # fmt: skip
PLANTED = [(reader, name, *place) for reader, name, places in CASES for place in places]
IDS = [f"{name}-{getattr(owner, '__name__', '').split('.')[-1]}.{function}" for _, name, owner, function in PLANTED]


@pytest.mark.parametrize(("reader", "name", "owner", "function"), PLANTED, ids=IDS)
@pytest.mark.parametrize("bug", [IndexError, KeyError, ValueError])
def test_a_bug_is_no_damaged_file(reader, name, owner, function, bug, folder, monkeypatch):
    def fail(*_, **__):
        raise bug("a bug")

    monkeypatch.setattr(owner, function, fail)
    with pytest.raises(bug) as caught:
        reader(folder / name)
    assert caught.type is bug


@pytest.mark.parametrize(("reader", "name"), [case[:2] for case in CASES], ids=[case[1] for case in CASES])
def test_damage_is_one_class(reader, name, folder, tmp_path):
    whole = (folder / name).read_bytes()
    for content in (b"", b"nothing", whole[:40], whole[:-20], bytes(200)):
        damaged = tmp_path / name
        damaged.write_bytes(content)
        try:
            reader(damaged)
        except InvalidFileError as error:
            assert str(damaged) in str(error)  # noqa: PT017
            assert "must" in str(error)  # noqa: PT017
            assert str(error).endswith(".")  # noqa: PT017
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises((InvalidFileError, OSError)):
        reader(tmp_path / name)
    (tmp_path / name).rmdir()
    if reader is not read_stack:  # which writes the file
        with pytest.raises(FileNotFoundError):
            reader(tmp_path / name)


def test_the_class_is_public():
    assert io.InvalidFileError is InvalidFileError
    assert issubclass(InvalidFileError, ValueError)
    again = pickle.loads(pickle.dumps(InvalidFileError("a must be b; it is c.")))
    assert (type(again), str(again)) == (InvalidFileError, "a must be b; it is c.")


def test_exceptions_of_libraries(tmp_path):
    """Those of a library become sentences; errors of the system and sentences stay as they are."""
    stored = StoredFile(tmp_path / "a", "thing")
    with pytest.raises(InvalidFileError, match=r"a must be a readable thing; got: KeyError\.$"), stored.parsing():
        raise KeyError
    with pytest.raises(KeyError), stored.parsing(ValueError):
        raise KeyError
    with pytest.raises(MemoryError, match=r"a must fit into memory; it does not\.$"), stored.parsing():
        raise MemoryError
    with pytest.raises(InvalidFileError, match=r"^x$"), stored.parsing():
        raise InvalidFileError("x")
    for code, kind in ((errno.EACCES, PermissionError), (errno.EIO, OSError), (errno.EINVAL, InvalidFileError)):
        with pytest.raises(kind), stored.parsing():
            raise OSError(code, "no")

    def items():
        yield 1
        raise struct_error

    struct_error = IndexError("cut short")
    found = []
    with pytest.raises(InvalidFileError, match=r"got: cut short\.$"):
        found.extend(stored.parsing_each(items()))
    assert list(stored.parsing_each(iter([1, 2]))) == [1, 2]
    with pytest.raises(UnreadableEntryError, match="^a b$"), parsing_entry():
        raise OSError("a\n  b.")


PACKAGE = Path(flowseg.__file__).parent
READERS = sorted([*PACKAGE.glob("io/*.py"), *PACKAGE.glob("_image_files/*.py")])
# Functions of ours that do nothing but call the library that parses.
ONLY_CALLS = {"orientation_of", "_name", "_part_shape", "read_part", "_ArraysOnly"}
# Functions that catch everything around the calls of a library.
CATCH_ALL = {"_parsing", "_other_pictures", "parsing_zarr"}


def is_parsing(item):
    call = item.context_expr
    return isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] in (
        "parsing",
        "parsing_entry",
        "_parsing",
    )


@pytest.mark.parametrize("file", READERS, ids=[file.stem for file in READERS])
def test_only_calls_of_libraries_are_translated(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    ours = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowseg"):
            ours |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any(map(is_parsing, node.items)):
            called = {ast.unparse(c.func) for part in node.body for c in ast.walk(part) if isinstance(c, ast.Call)}
            assert not called & ours - ONLY_CALLS, f"line {node.lineno}"
        if isinstance(node, ast.FunctionDef) and node.name not in CATCH_ALL:
            for handler in (n for n in ast.walk(node) if isinstance(n, ast.ExceptHandler)):
                assert handler.type is not None, f"line {handler.lineno}"
                assert "Exception" not in ast.unparse(handler.type).split("."), f"line {handler.lineno}"
