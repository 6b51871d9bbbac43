"""The readers that `fuzz_readers.py` feeds, the files that it starts from, and what may come of a file."""

import io
import json
import pickle
import struct
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import flowseg
from flowseg.io import InvalidFileError

PACKAGE = str(Path(flowseg.__file__).parent)
# Readers raise InvalidFileError; where the file is right and an argument is not, the sentence begins with its name.
ALLOWED = (InvalidFileError, MemoryError)
ARGUMENTS = (
    "key must ",
    "scene must ",
    "z must ",
    "t must ",
    "channel must ",
    "axes must ",
    "classes must ",
    "z, t and ",
)
# Model files hold parameters, which are checked as those that a user gives.
OF_PARAMETERS = (ValueError, TypeError, OSError, MemoryError)
SHAPE = (64, 48)  # of images that annotations do not tell the size of
MASKS = np.kron(np.array([[0, 1, 1], [2, 0, 3]]), np.ones((6, 5), int)).astype(np.uint16)
IMAGE = (np.arange(12 * 15).reshape(12, 15) * 7 % 251).astype(np.uint8)


@dataclass(frozen=True)
class Target:
    """A reader: how its files' names end, what reads one, and files that it reads."""

    name: str
    suffix: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    errors: tuple[type[BaseException], ...] = ALLOWED


@dataclass(frozen=True)
class Fault:
    """What is no refusal in a sentence."""

    kind: str  # the same for the same mistake
    text: str


def judge(target, path):
    """None where the file is read or refused in a sentence of flowseg's; else what came."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(path)
    except OF_PARAMETERS as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error)
        ours = frame.filename.startswith(PACKAGE)
        ours = ours and (isinstance(error, target.errors) or said.startswith(ARGUMENTS))
        if ours and said.strip() and "\n" not in said and (not isinstance(error, MemoryError) or len(said) > 30):
            return None
        return _as_fault(error)
    except Exception as error:  # noqa: BLE001  (the point of it)
        return _as_fault(error)
    return None


def _as_fault(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)][-1:]
    place = ", ".join(f"{Path(f.filename).name}:{f.lineno}" for f in [*ours, frame])
    return Fault(f"{type(error).__name__} at {place}", "".join(traceback.format_exception(error))[-6000:])


def in_memory(write):
    """Bytes that a writer makes."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def tiffs():
    import tifffile

    stack = np.stack([IMAGE, IMAGE])
    ome = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    kinds = [
        (IMAGE, {}),
        (MASKS, {"compression": "zlib", "predictor": True}),
        (MASKS, {"byteorder": ">", "bigtiff": True}),
        (np.stack([IMAGE] * 3, -1), {"photometric": "rgb", "compression": "lzw"}),
        (IMAGE, {"tile": (16, 16), "compression": "packbits"}),
        (stack, {"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 2.0}}),
        (stack, {"ome": True, "metadata": ome}),
        (IMAGE.astype(np.float32), {"rowsperstrip": 2, "compression": "deflate"}),
        (stack, {}),
    ]
    return [in_memory(lambda b, a=a, k=k: tifffile.imwrite(b, a, **k)) for a, k in kinds]


def pictures(kind):
    from PIL import Image

    color = np.stack([IMAGE] * 3, -1)
    made = [IMAGE, color] + ([MASKS, np.stack([IMAGE] * 4, -1)] if kind == "PNG" else [])
    images = [Image.fromarray(array) for array in made]
    images += [images[0].convert("P")] if kind != "JPEG" else []
    return [in_memory(lambda b, i=i: i.save(b, kind)) for i in images]


def texts(*documents):
    return [(d if isinstance(d, str) else json.dumps(d)).encode() for d in documents]


def coco():
    square = [2, 2, 10, 2, 10, 9, 2, 9]
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    runs = {"size": [20, 30], "counts": [45, 5, 15, 5, 530]}
    marks = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [square]},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": runs, "iscrowd": 1},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "segmentation": []},
        {"id": 4, "image_id": 1, "category_id": 1, "segmentation": {"size": [20, 30], "counts": "\\1O1O1"}},
    ]
    return texts({"images": [image], "annotations": marks, "categories": [{"id": 1, "name": "cell"}]})


def geojson():
    ring = [[2, 2], [20, 2], [20, 30], [2, 30], [2, 2]]
    hole = [[5, 5], [9, 5], [9, 9], [5, 9], [5, 5]]
    shapes = [
        {"type": "Polygon", "coordinates": [ring, hole]},
        {"type": "MultiPolygon", "coordinates": [[ring], [hole]]},
        {"type": "Point", "coordinates": [3, 3]},
        {"type": "Polygon", "coordinates": [ring], "plane": {"c": -1, "z": 0, "t": 0}},
    ]
    about = {"classification": {"name": "cell"}, "objectType": "annotation", "nucleusGeometry": shapes[0]}
    features = [{"type": "Feature", "geometry": shape, "properties": about} for shape in shapes]
    return texts({"type": "FeatureCollection", "features": features}, features, shapes[0])


CVAT = (
    '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    '<image id="0" name="a.png" width="40" height="30">'
    '<polygon label="cell" occluded="0" points="2.0,2.0;20.0,2.0;20.0,25.0" z_order="0"></polygon>'
    '<box label="cell" xtl="1" ytl="2" xbr="10" ybr="9" rotation="30" z_order="1"></box>'
    '<ellipse label="cell" cx="20" cy="10" rx="5" ry="3" rotation="10" z_order="2"></ellipse>'
    '<mask label="cell" rle="2, 3, 4, 3" left="1" top="1" width="4" height="3" z_order="3"></mask>'
    '<polyline label="cell" points="1,1;2,2"></polyline></image></annotations>'
)


def cvat():
    return [CVAT.encode(), ("\ufeff" + CVAT.replace("utf-8", "utf-16")).encode("utf-16-le")]


def labkit():
    interval = {"min": [0, 0], "max": [20, 15]}
    labels = {"cell": [[1, 1], [1, 2], [5, 5]], "background": [[0, 0]]}
    return texts({"interval": interval, "labels": labels, "colors": {}})


def rois():
    from roifile import ROI_TYPE, ImagejRoi

    corners = np.array([[2.5, 2], [20, 3], [18, 25]], np.float32)
    polygon = ImagejRoi.frompoints(corners, name="a", position=1).tobytes()
    kinds = [ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.POINT]
    boxes = [ImagejRoi(roitype=kind, left=2, top=3, right=20, bottom=30, version=227).tobytes() for kind in kinds]
    return [polygon, *boxes]


def roi_zips():
    def write(buffer, method):
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for k, roi in enumerate(rois()):
                archive.writestr(f"{k}.roi", roi)

    return [in_memory(partial(write, method=method)) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]


def segs():
    content = {"masks": MASKS.astype(np.int32), "outlines": MASKS, "flows": [IMAGE], "est_diam": np.float64(3.0)}
    made = []
    for protocol in (2, 3, 4, 5):
        header = in_memory(
            lambda b: np.lib.format.write_array_header_1_0(b, {"descr": "|O", "fortran_order": False, "shape": ()})
        )
        made.append(header + pickle.dumps(content, protocol=protocol))
    return made


def flow_tiffs():
    import tifffile

    stack = np.stack([MASKS.astype(np.float32)] * 4)
    return [in_memory(lambda b: tifffile.imwrite(b, stack))]


def mats():
    from scipy.io import savemat

    content = {"inst_map": MASKS.astype(np.float64), "inst_type": np.arange(3), "words": "abc"}
    more = {"inst_map": MASKS, "cells": np.array([MASKS, "a"], dtype=object), "struct": {"a": 1}}
    return [
        in_memory(lambda b: savemat(b, content)),
        in_memory(lambda b: savemat(b, more, do_compression=True)),
        in_memory(lambda b: savemat(b, content, format="4")),
    ]


DOCUMENT = {
    "format_version": 1,
    "flowseg_version": "0.1.0",
    "estimator": "FlowSegmenter",
    "learned": {
        "diameter": 20.5,
        "least_sharpness": 1.5,
        "ranges": {"n_images": 9, "ends": {"object_size": [0.9, 1.1], "median_intensity[1]": [0.0, 0.2]}},
        "sizes": {"working": 24.0, "estimate": True, "low": 10.0, "high": 40.0},
        "thresholds": {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15, "score_threshold": 0.5},
        "score": {"diameter": 20.5, "weights": [0.1] * 6, "knots": [0.0, 1.0], "probabilities": [0.1, 0.9]},
    },
    "history": {"loss": [1.5, 0.5], "val_loss": [2.0, 1.0]},
    "card": {"license": "CC0"},
    "trained_with": {"keras": "3", "cores": 2, "instructions": ["A"], "threads": 2, "onednn": "default"},
}


def documents():
    parameters = flowseg.FlowSegmenter(filters=(2,), crop_size=16).get_params(deep=False)
    return texts(DOCUMENT | {"parameters": parameters})


def as_safetensors(header, data):
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def models():
    tensor = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    text = documents()[0].decode()
    return [as_safetensors({"__metadata__": {"flowseg": text}, "000/head/kernel": tensor}, bytes(12))]


def checkpoints():
    state = {"fingerprint": "", "seeds": [1, 2, 3], "epochs_done": 1, "best": 0.5, "history": {"loss": [1.0]}}
    header = {"__metadata__": {"flowseg_checkpoint": json.dumps(state)}}
    return [as_safetensors(header, b"")]


def records():
    run = {"command": "predict", "model": "ab", "options": [["z", "1"]], "flowseg": "0.1.0"}
    entry = {"name": "a_masks.tif", "file": "a.tif", "sha256": "ab", "objects": 3, "note": "", "statistics": {"a": 0.5}}
    return ["".join(json.dumps(d) + "\n" for d in (run, entry, entry | {"name": "b"})).encode()]


def read_images(path):
    """Everything that is asked of an image."""
    faults = []
    for read in (
        flowseg.io.read_image,
        flowseg.io.read_masks,
        flowseg.io.read_volume,
        flowseg.io.read_pixel_size,
        flowseg.io.read_spacing,
    ):
        try:
            read(path)
        except (ValueError, MemoryError) as error:
            faults.append(error)
    for error in faults:
        if not isinstance(error, ALLOWED) and not str(error).startswith(ARGUMENTS):
            raise error
    if faults:
        raise faults[0]


def read_model(path):
    from flowseg._segmenters.model_files.reading import read_document

    return read_document(path)


def read_checkpoint(path):
    from flowseg._nets.training.checkpoint import read_state

    return read_state(path)


def read_run(path):
    from flowseg.cli._batch.run_record import RECORD_NAME, read_record

    path.replace(path.with_name(RECORD_NAME))
    return read_record(path.parent)


class Loading:
    """A document put into a file with the weights of a small network, and the segmenter loaded."""

    def __init__(self):
        self.weights = None

    def __call__(self, path):
        from safetensors.numpy import save_file

        if self.weights is None:
            from flowseg._segmenters.model_files.weights import name_weights

            self.weights = name_weights(flowseg.build_unet(1, 3, filters=(2,)))
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            return None
        model = path.with_suffix(".safetensors")
        save_file(self.weights, model, metadata={"flowseg": text})
        return flowseg.load_segmenter(model)


MADE = [
    Target("tiff", ".tif", read_images, tiffs),
    Target("png", ".png", read_images, partial(pictures, "PNG")),
    Target("jpeg", ".jpg", read_images, partial(pictures, "JPEG")),
    Target("bmp", ".bmp", read_images, partial(pictures, "BMP")),
    Target("coco", ".json", lambda p: flowseg.io.read_coco(p), coco),
    Target("geojson", ".geojson", lambda p: flowseg.io.read_geojson(p, SHAPE), geojson),
    Target("cvat", ".xml", lambda p: flowseg.io.read_cvat(p), cvat),
    Target("labkit", ".labeling", lambda p: flowseg.io.read_labkit(p), labkit),
    Target("roi", ".roi", lambda p: flowseg.io.read_roi(p, SHAPE), rois),
    Target("roi-zip", ".zip", lambda p: flowseg.io.read_roi(p, SHAPE), roi_zips),
    Target("seg", "_seg.npy", lambda p: flowseg.io.read_cellpose(p), segs),
    Target("flows", "_flows.tif", lambda p: flowseg.io.read_cellpose(p), flow_tiffs),
    Target(
        "outlines",
        "_outlines.txt",
        lambda p: flowseg.io.read_cellpose(p, SHAPE),
        lambda: texts("1,2,9,2,9,8\n3,3,4,4\n"),
    ),
    Target("mat", ".mat", lambda p: flowseg.io.read_mat(p), mats),
    Target("record", ".jsonl", read_run, records, OF_PARAMETERS),
    Target("model", ".safetensors", read_model, models, OF_PARAMETERS),
    Target("checkpoint", ".safetensors", read_checkpoint, checkpoints, OF_PARAMETERS),
    Target("load", ".json", Loading(), documents, OF_PARAMETERS),
]
TARGETS = {target.name: target for target in MADE}
