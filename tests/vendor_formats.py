"""Small files in the formats of microscope vendors, to read back.

CZI by Zeiss' own library. Leica and Nikon have none that writes: their files are put together here, from what the
open readers liffile and nd2 know of them.
"""

import struct

import numpy as np
import pytest


def write_czi(path, stack):
    """A CZI file of a stack (planes, channels, rows, columns) of 16 bits, as Zeiss' own library writes it."""
    pyczi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw, which writes CZI files, is not installed")
    with pyczi.create_czi(str(path)) as file:
        for z, c in np.ndindex(stack.shape[:2]):
            file.write(np.ascontiguousarray(stack[z, c])[..., None], plane={"Z": z, "C": c, "T": 0})
        file.write_metadata("a", scale_x=0.25e-6, scale_y=0.5e-6, scale_z=1e-6)


LIF_DIMENSION = (
    '<DimensionDescription DimID="{0}" NumberOfElements="{1}" Origin="0" Length="{2}" Unit="m" BitInc="0" '
    'BytesInc="{3}"/>'
)
LIF_CHANNEL = (
    '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="65535" '
    'Unit="" LUTName="Grey" IsLUTInverted="0" BytesInc="{0}" BitInc="0"/>'
)
LIF_IMAGE = (
    '<Element Name="{name}" Visibility="1" UniqueID="{name}"><Data><Image><ImageDescription><Channels>{channels}'
    '</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data><Memory Size="{size}" '
    'MemoryBlockID="MemBlock_{number}"/></Element>'
)


def write_lif(path, *stacks, names=("first",), pixel_size=(0.5e-6, 0.25e-6)):
    """A LIF file of stacks (planes, channels, rows, columns) of 16 bits; height and width of a pixel in metres."""
    elements = ""
    for number, (name, stack) in enumerate(zip(names, stacks, strict=True)):
        planes, channels, rows, columns = stack.shape
        plane = rows * columns * 2
        lengths = (((columns - 1) * pixel_size[1]), ((rows - 1) * pixel_size[0]), (planes - 1) * 1e-6)
        dimensions = LIF_DIMENSION.format(1, columns, lengths[0], 2) + LIF_DIMENSION.format(
            2, rows, lengths[1], 2 * columns
        )
        if planes > 1:
            dimensions += LIF_DIMENSION.format(3, planes, lengths[2], plane * channels)
        elements += LIF_IMAGE.format(
            name=name,
            number=number,
            size=stack.nbytes,
            dimensions=dimensions,
            channels="".join(LIF_CHANNEL.format(c * plane) for c in range(channels)),
        )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="all" Visibility="1" UniqueID="0"><Data><Experiment/></Data>'
        f'<Memory Size="0" MemoryBlockID=""/><Children>{elements}</Children></Element></LMSDataContainerHeader>'
    )
    with open(path, "wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le"))
        for number, stack in enumerate(stacks):
            name = f"MemBlock_{number}"
            file.write(struct.pack("<IIBQBI", 0x70, 2 * len(name) + 14, 0x2A, stack.nbytes, 0x2A, len(name)))
            file.write(name.encode("utf-16-le") + stack.astype("<u2").tobytes())


def encode_nd2(name, value):
    """One entry of Nikon's binary metadata ("CLX lite")."""
    key = (name + "\0").encode("utf-16-le")
    kinds = {bool: (1, "<B"), int: (3, "<I"), float: (6, "<d")}
    if isinstance(value, dict):
        inside = b"".join(encode_nd2(*item) for item in value.items())
        length = 2 + len(key) + 12 + len(inside)
        return (
            struct.pack("<BB", 11, len(name) + 1)
            + key
            + struct.pack("<IQ", len(value), length)
            + inside
            + bytes(8 * len(value))
        )
    code, form = kinds[type(value)]
    return struct.pack("<BB", code, len(name) + 1) + key + struct.pack(form, value)


def write_nd2(path, stack, pixel_size=0.5):
    """An ND2 file, version 3, of a stack (planes, channels, rows, columns) of 16 bits; pixels in micrometres or None."""
    planes, channels, rows, columns = stack.shape
    attributes = {
        "uiWidth": columns,
        "uiHeight": rows,
        "uiWidthBytes": 2 * columns * channels,
        "uiComp": channels,
        "uiBpcInMemory": 16,
        "uiBpcSignificant": 16,
        "uiSequenceCount": planes,
        "eCompression": 2,
    }
    names = {
        f"a{c}": {"uiCompCount": 1, "uiColor": 255, "uiSampleIndex": c, "pFluorescentProbe": {"m_uiColor": 255}}
        for c in range(channels)
    }
    picture = {
        "bCalibrated": pixel_size is not None,
        "dCalibration": pixel_size or 1.0,
        "sPicturePlanes": {"uiCount": channels, "uiCompCount": channels, "sPlaneNew": names},
    }
    loop = {"eType": 4, "uLoopPars": {"uiCount": planes, "dZStep": 1.0}}
    chunks = {
        b"ImageAttributesLV!": encode_nd2("SLxImageAttributes", attributes),
        b"ImageMetadataLV!": encode_nd2("SLxExperiment", loop),
        b"ImageMetadataSeqLV|0!": encode_nd2("SLxPictureMetadata", picture),
        b"CustomData|AcqTimesCache!": np.arange(planes, dtype="<f8").tobytes(),
    }
    for z, plane in enumerate(stack):
        chunks[f"ImageDataSeq|{z}!".encode()] = bytes(8) + np.moveaxis(plane, 0, -1).astype("<u2").tobytes()
    with open(path, "wb") as file:

        def write(name, data, length):
            file.write(struct.pack("<IIQ", 0x0ABECEDA, length, len(data)) + name.ljust(length, b"\0") + data)

        write(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"), 32)
        places = b""
        for name, data in chunks.items():
            places += name + struct.pack("<QQ", file.tell(), len(data))
            write(name, data, 4072 if name.startswith(b"ImageDataSeq") else 64)
        place = file.tell()
        signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
        write(b"ND2 FILEMAP SIGNATURE NAME 0001!", places + signature + struct.pack("<Q", place), 32)
