"""Files that are made to harm, one or more for every reader: small, and asking for far more than there is."""

import io as streams
import json
import os
import pickle
import struct
import zipfile
import zlib

import imagecodecs
import numpy as np

SIDE = 20_000  # of an image that is declared: its masks take 1.6 GB
HUGE = 10**9


def tiff(width, height, compression, data, tile=None, description=b""):
    """A TIFF of one strip, or tile, of bytes that are compressed somehow."""
    places = [(322, 4, tile[0]), (323, 4, tile[1]), (324, 4, 0), (325, 4, len(data))] if tile else []
    places = places or [(273, 4, 0), (278, 4, height), (279, 4, len(data))]
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1), (277, 3, 1), *places]
    tags += [(270, 2, 0)] * bool(description)
    start = 8 + 2 + 12 * len(tags) + 4
    raw = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, kind, value in sorted(tags):
        if tag == 270:
            raw += struct.pack("<HHII", tag, kind, len(description), start + len(data))
            continue
        value = start if tag in (273, 324) else value
        raw += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I" if kind == 4 else "<HH", *[value, 0][: 5 - kind])
    return raw + struct.pack("<I", 0) + data + description


def ome(pixels='SizeZ="1"', data="<TiffData/>", before="", more=""):
    """OME metadata."""
    sizes = {"SizeC": 1, "SizeT": 1, "SizeZ": 1, "SizeX": 4, "SizeY": 4}
    said = " ".join(f'{name}="{n}"' for name, n in sizes.items() if f"{name}=" not in pixels)
    return (
        f'<?xml version="1.0"?>{before}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:own">'
        f'<Image ID="Image:0"><Pixels ID="P" DimensionOrder="XYZCT" Type="uint8" {pixels} {said}>'
        f'<Channel ID="C"/>{data}</Pixels></Image>{more}</OME>'
    ).encode()


def ome_tiff(*said, **more):
    return tiff(4, 4, 1, bytes(16), description=ome(*said, **more) + b"\0")


def of_another(name, uuid="urn:other"):
    return f'<TiffData PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'


def png(width, height, bits=8, color=0, more=b""):
    """A PNG whose pixels are missing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def seg(content):
    """A file of Cellpose's with a pickle."""
    file = streams.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + content


def matlab(shape, data, compressed=True):
    """A MATLAB file, version 5, whose array says to be of a shape."""

    def element(kind, raw):
        return struct.pack("<II", kind, len(raw)) + raw + bytes(-len(raw) % 8)

    array = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<2i", *shape)) + element(1, b"inst_map")
    matrix = element(14, array + element(9, data))
    content = struct.pack("<II", 15, len(zlib.compress(matrix))) + zlib.compress(matrix) if compressed else matrix
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + content


def oval(height, width, kind=2, n=0):
    """An ImageJ region: an oval of a size."""
    return b"Iout" + struct.pack(">hBxhhhhH", 228, kind, 0, 0, height, width, n) + bytes(200)


def zipped(*parts):
    file = streams.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, part in enumerate(parts):
            archive.writestr(f"{k}.roi", part)
    return file.getvalue()


def coco(n=1, side=SIDE, segmentation=None):
    images = [{"id": k, "file_name": f"{k}.png", "height": side, "width": side} for k in range(n)]
    annotations = [{"id": 1, "image_id": 0, "segmentation": segmentation or [[1, 1, 3, 1, 3, 3]]}]
    return json.dumps({"images": images, "annotations": annotations}).encode()


def cvat(n=1, side=SIDE, shapes=""):
    image = '<image name="{}.png" width="{}" height="{}">{}</image>'
    return f"<annotations>{''.join(image.format(k, side, side, shapes) for k in range(n))}</annotations>".encode()


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 99}">' for a, b in zip("abcdefgh", "bcdefghi"))
    + "]>"
)
LAUGHING = f"{LAUGHS}<annotations>&i;</annotations>"


def squares(n, side):
    ring = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
    return json.dumps([{"type": "Polygon", "coordinates": [ring]}] * n).encode()


def comb(n, side):
    """A polygon that runs up and down the image."""
    ring = [[k % side, side * (k % 2)] for k in range(n)]
    return json.dumps({"type": "Polygon", "coordinates": [ring]}).encode()


def zeros(n):
    return imagecodecs.zstd_encode(bytes(n))


def _labkit(low, high):
    return json.dumps({"interval": {"min": low, "max": high}, "labels": {"a": [[0, 0]]}}).encode()


# Name of the file -> its content; the reader is in the name of the case, before the colon, and what is said behind it.
def files():
    memo = b"\x80\x02}r\xff\xff\xff\x7f."  # {} at place 2 ** 31 of the memo: 34 GB
    return {
        # Images.
        "image: strips that are declared larger.tif": (tiff(SIDE, SIDE, 50000, zeros(100)), "must fit into memory"),
        "image: strip that inflates.tif": (tiff(64, 64, 50000, zeros(10**8)), "must be a readable TIFF"),
        "image: deflate that inflates.tif": (tiff(64, 64, 8, zlib.compress(bytes(10**8), 1)), "must be a readable TIFF"),
        "image: tile that is declared larger.tif": (
            tiff(64, 64, 50000, zeros(100), tile=(65536, 65536)), "must fit into memory",
        ),
        "image: jpeg inside that is larger.tif": (
            tiff(64, 64, 7, imagecodecs.jpeg_encode(np.zeros((4000, 4000), np.uint8))), "one is of (4000, 4000)",
        ),
        "image: png inside that is larger.tif": (tiff(64, 64, 34933, png(60000, 60000)), "one is of (60000, 60000)"),
        "image: jpeg 2000 inside that is larger.tif": (
            tiff(64, 64, 34712, imagecodecs.jpeg2k_encode(np.zeros((500, 500), np.uint8))), "one is of (500, 500)",
        ),
        "image: jpeg xl inside that is larger.tif": (
            tiff(64, 64, 50002, imagecodecs.jpegxl_encode(np.zeros((500, 700), np.uint8))), "one is of (500, 700)",
        ),
        "image: webp inside that is larger.tif": (
            tiff(64, 64, 50001, imagecodecs.webp_encode(np.zeros((500, 700, 3), np.uint8))), "one is of (500, 700)",
        ),
        "image: lerc inside that is larger.tif": (
            tiff(64, 64, 34887, imagecodecs.lerc_encode(np.zeros((500, 700), np.uint8))), "one is of (500, 700)",
        ),
        "image: jpeg xr inside that is larger.tif": (
            tiff(64, 64, 22610, imagecodecs.jpegxr_encode(np.zeros((500, 700), np.uint8))), "one is of (500, 700)",
        ),
        "image: planes.ome.tif": (ome_tiff(f'SizeZ="{HUGE}"'), "more than 10000000 planes"),
        "image: count of planes.ome.tif": (ome_tiff(data=f'<TiffData PlaneCount="{HUGE}"/>'), "more than 10000000"),
        "image: steps.ome.tif": (
            ome_tiff(
                more='<StructuredAnnotations><X Namespace="modulo" ID="A"><Value><Modulo>'
                '<ModuloAlongZ Type="angle" Start="0" End="1e12" Step="1"/></Modulo></Value></X></StructuredAnnotations>'
            ),
            "more than 10000000",
        ),
        "image: pipe in a set.ome.tif": (ome_tiff(data=of_another("pipe.ome.tif")), "a named pipe"),
        "image: file above.ome.tif": (ome_tiff(data=of_another("../x.ome.tif")), "'../x.ome.tif', which is not a file"),
        "image: file anywhere.ome.tif": (ome_tiff(data=of_another("/dev/zero")), "'/dev/zero', which is not a file"),
        "image: entities.ome.tif": (ome_tiff(before=LAUGHS), "document type"),
        "image: imagej.tif": (
            tiff(4, 4, 1, bytes(16), description=b"ImageJ=1.54\nimages=1000000000\nslices=1000000000\n\0"), "must",
        ),
        "image: declared.png": (png(SIDE * 10, SIDE * 10), "must fit into memory"),
        "image: declared.bmp": (
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, *[0] * 6),
            "must fit into memory",
        ),
        "image: declared.jpg": (
            imagecodecs.jpeg_encode(np.zeros((8, 8), np.uint8)).replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc", 1),
            "must fit into memory",
        ),
        "image: metadata.png": (png(4, 4, more=struct.pack(">I", 2**31) + b"eXIf"), "must be a readable PNG"),
        "image: postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript file"),
        "image: postscript.tif": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript file"),
        # Cellpose.
        "cellpose: memo_seg.npy": (seg(memo), "memo has place 2147483647"),
        "cellpose: text memo_seg.npy": (seg(b"\x80\x02}p2000000000\n."), "memo has place"),
        "cellpose: bytes_seg.npy": (seg(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"."), "must be a readable file"),
        "cellpose: bytearray_seg.npy": (seg(b"\x80\x05\x96" + struct.pack("<Q", 2**35) + b"."), "must be a readable"),
        "cellpose: frame_seg.npy": (seg(b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"}."), "must be a readable"),
        "cellpose: text_seg.npy": (seg(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"."), "must be a readable"),
        "cellpose: number_seg.npy": (seg(b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"."), "must be a readable"),
        "cellpose: depth_seg.npy": (seg(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."), "without masks"),
        "cellpose: declared_flows.tif": (tiff(SIDE, SIDE, 50000, zeros(100)), "must fit into memory"),
        # GeoJSON.
        "geojson: comb.geojson": (comb(100_000, 3000), "must fit into memory"),
        "geojson: depth.geojson": (b"[" * 100_000 + b"]" * 100_000, "too deep to be read"),
        "geojson: lists.geojson": (b"[" + b"[]," * 10_000_000 + b"[]]", "must fit into memory"),
        "geojson: digits.geojson": (b'{"type": ' + b"9" * 100_000 + b"}", "must be a readable GeoJSON"),
        # COCO, CVAT, Labkit.
        "coco: declared.json": (coco(100), "must fit into memory"),
        "coco: object.json": (
            coco(side=12_000, segmentation={"size": [12_000, 12_000], "counts": [0, 144_000_000]}), "must fit into memory",
        ),
        "coco: outline.json": (coco(side=8_000, segmentation=[[0, 0, 2e7, 1, 2e7, 3]]), "must fit into memory"),
        "cvat: declared.xml": (cvat(100), "must fit into memory"),
        "cvat: digits.xml": (cvat(side=10**40), "must fit into memory"),
        "cvat: elements.xml": (b"<annotations>" + b"<a/>" * 3_000_000 + b"</annotations>", "must fit into memory"),
        **{
            f"cvat: entities in {code}.xml": (LAUGHING.encode(code), "got: ")
            for code in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7")
        },
        "cvat: entities declared utf-7.xml": (
            b'<?xml version="1.0" encoding="UTF-7"?>' + LAUGHING.encode("utf-7"), "got: ",
        ),
        "labkit: declared.labeling": (_labkit([0, 0], [SIDE, SIDE]), "must fit into memory"),
        "labkit: digits.labeling": (_labkit([0, 0], [10**30, 10**30]), "must be a readable Labkit"),
        "labkit: backwards.labeling": (_labkit([9, 9], [0, 0]), "an interval of shape"),
        # ImageJ.
        "roi: bomb.zip": (zipped(*[oval(5, 5) + bytes(50_000_000)] * 4), "times as large as the file"),
        "roi: one bomb.zip": (zipped(oval(5, 5) + bytes(70_000_000)), "a region of"),
        # MATLAB.
        "mat: declared.mat": (matlab((SIDE, SIDE), b""), "must fit into memory"),
        "mat: negative.mat": (matlab((-3, -3), bytes(72)), "an array of shape (-3, -3)"),
        "mat: lying.mat": (matlab((3, 3), bytes(8), compressed=False), "of shape (3, 3) with 8 bytes"),
    }  # fmt: skip


# These take more work than others, and are fine.
def harmless():
    return {
        "image: shaped.tif": tiff(4, 4, 1, bytes(16), description=b'{"shape": [100000, 100000, 100000]}\0'),
        "geojson: squares.geojson": squares(100, 3000),
        "cvat: ellipse.xml": cvat(side=6000, shapes='<ellipse cx="3000" cy="3000" rx="3000" ry="3000"/>' * 3),
        "roi: ovals.zip": zipped(*[oval(30_000, 30_000)] * 20),
        "roi: rectangles.zip": zipped(*[oval(32_000, 32_000, kind=1)] * 20),
        "mat: fine.mat": matlab((3, 3), np.arange(9.0).tobytes()),
        "cellpose: fine_seg.npy": seg(pickle.dumps({"masks": np.array([[0, 1]])}, protocol=4)),
    }


def write(folder):
    """Write all; what must be said of each that harms, None of others."""
    said = {}
    for name, (content, words) in files().items():
        (folder / name).write_bytes(content)
        said[name] = words
    for name, content in harmless().items():
        (folder / name).write_bytes(content)
        said[name] = None
    os.mkfifo(folder / "pipe.ome.tif")
    for reader, ending in (("image", ".tif"), ("image", ".png"), ("image", ".czi"), ("cellpose", "_seg.npy"),
                           ("geojson", ".geojson"), ("coco", ".json"), ("cvat", ".xml"), ("labkit", ".labeling"),
                           ("roi", ".zip"), ("roi", ".roi"), ("mat", ".mat"), ("size", ".tif")):  # fmt: skip
        for kind, make in (("a named pipe", os.mkfifo), ("a folder", os.mkdir), ("a device", _link_to_zeros)):
            name = f"{reader}: {kind}{ending}"
            if not (folder / name).exists():
                make(folder / name)
            said[name] = kind
    return said


def _link_to_zeros(path):
    os.symlink("/dev/zero", path)


def main(folder, names):
    """Read files, in a process of its own: one line for each with what came of it."""
    import time
    import warnings
    from pathlib import Path

    import flowseg
    from flowseg import io

    warnings.simplefilter("ignore")
    shape = (3000, 3000)
    read = {
        "image": io.read_image,
        "size": io.read_pixel_size,
        "cellpose": flowseg.io.read_cellpose,
        "geojson": lambda file: flowseg.io.read_geojson(file, shape),
        "roi": lambda file: flowseg.io.read_roi(file, shape),
        "coco": flowseg.io.read_coco,
        "cvat": flowseg.io.read_cvat,
        "labkit": flowseg.io.read_labkit,
        "mat": flowseg.io.read_mat,
    }
    for name in names:
        start = time.perf_counter()
        try:
            read[name.partition(":")[0]](Path(folder) / name)
            kind, said = "", ""
        except Exception as error:  # noqa: BLE001
            kind, said = type(error).__name__, str(error)
        print(json.dumps([name, kind, said, time.perf_counter() - start]), flush=True)  # noqa: T201


if __name__ == "__main__":
    import resource
    import sys

    limit = 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    main(sys.argv[1], json.load(sys.stdin))
