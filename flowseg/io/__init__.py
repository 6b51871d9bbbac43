"""Find and pair files, read images, masks and annotations, write masks, objects, tables and pictures."""

from flowseg._image_files.find_and_pair import find_files, pair_files
from flowseg._image_files.pixel_size import read_pixel_size, read_spacing
from flowseg._image_files.reading import read_image, read_masks
from flowseg._image_files.volumes import read_volume
from flowseg._system.invalid_file import InvalidFileError
from flowseg.io._annotations import read_mat, read_object_files
from flowseg.io._cellpose import read_cellpose
from flowseg.io._classes import read_classes
from flowseg.io._coco import read_coco, read_coco_with_classes, write_coco
from flowseg.io._cvat import read_cvat
from flowseg.io._geojson import read_geojson, read_geojson_with_classes
from flowseg.io._geojson_writer import write_geojson
from flowseg.io._labkit import read_labkit
from flowseg.io._roi import read_roi, write_roi
from flowseg.io._tables import write_table
from flowseg.io._write import write_masks, write_picture

__all__ = [
    "InvalidFileError",
    "find_files",
    "pair_files",
    "read_cellpose",
    "read_classes",
    "read_coco",
    "read_coco_with_classes",
    "read_cvat",
    "read_geojson",
    "read_geojson_with_classes",
    "read_image",
    "read_labkit",
    "read_masks",
    "read_mat",
    "read_object_files",
    "read_pixel_size",
    "read_roi",
    "read_spacing",
    "read_volume",
    "write_coco",
    "write_geojson",
    "write_masks",
    "write_picture",
    "write_roi",
    "write_table",
]
