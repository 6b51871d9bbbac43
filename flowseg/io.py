"""Files: find them, pair them by name, read images and masks, write masks, objects, tables and pictures."""

from flowseg._coco import write_coco
from flowseg._geojson import write_geojson
from flowseg._image_files import read_image, read_masks
from flowseg._paths import find_files, pair_files
from flowseg._pixel_size import read_pixel_size
from flowseg._result_files import write_masks, write_picture
from flowseg._roi import write_roi
from flowseg._tables import write_table

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
