"""Files: find them, pair them by name, read images and masks, write masks, objects, tables and pictures."""

from flowseg._image_files.paths import find_files, pair_files
from flowseg._image_files.pixel_size import read_pixel_size
from flowseg._image_files.reading import read_image, read_masks
from flowseg.io._coco import write_coco
from flowseg.io._geojson import write_geojson
from flowseg.io._roi import write_roi
from flowseg.io._tables import write_table
from flowseg.io._write import write_masks, write_picture

__all__ = [
    "find_files",
    "pair_files",
    "read_image",
    "read_masks",
    "read_pixel_size",
    "write_coco",
    "write_geojson",
    "write_masks",
    "write_picture",
    "write_roi",
    "write_table",
]
