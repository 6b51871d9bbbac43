"""How many objects of real volumes come back from their own flows, and why the others do not.

    python benchmarks/round_trips.py ../shared/data --json benchmarks/round_trips.json

Labels to flows to masks, without noise, on every label image of a volume in a folder of data sets. An object counts as
found at an intersection over union of 0.9. For those that are not found the table says whether their voxels are
connected by faces, and whether they are found when they are alone in the volume: if so, a flow near the surface led
into a neighbor.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

import flowseg
from flowseg import metrics
from flowseg._labels.components import Components, find_components

SMALLEST = {"neurites_em3d": 500}  # voxels; below this their annotation holds specks
SMALLEST_OF_OTHERS = 30
IOU = 0.9


def round_trip(masks: np.ndarray) -> np.ndarray:
    """Masks from the flows of masks."""
    flows = flowseg.masks_to_flows(masks)
    return flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0), min_size=1, flow_threshold=None)


def describe(components: Components, k: int) -> dict[str, Any]:
    """Why object k + 1 was not found."""
    box = components.boxes[k]
    alone = np.pad(components.image[tuple(slice(*box[axis::3]) for axis in range(3))] == k + 1, 1).astype(np.int32)
    iou = metrics.match(alone, round_trip(alone), threshold=IOU).iou[0]
    n_parts = ndimage.label(alone)[1]
    return {"voxels": int(alone.sum()), "connected_by_faces": n_parts == 1, "found_alone": bool(iou >= IOU)}


def test_volume(masks: np.ndarray, smallest: int) -> dict[str, Any]:
    """Count the objects of one volume."""
    components = find_components(masks)
    iou = metrics.match(components.image, round_trip(masks), threshold=IOU).iou
    large = components.sizes >= smallest
    missed = [describe(components, k) for k in np.flatnonzero(large & (iou < IOU))]
    return {
        "objects": int(large.sum()),
        "found": int(np.count_nonzero(iou[large] >= IOU)),
        "exact": int(np.count_nonzero(iou[large] == 1)),
        "missed": missed,
    }


def main() -> None:
    """Test all volumes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", help="where to keep the counts")
    options = parser.parse_args()
    results = {}
    for file in sorted(options.folder.glob("**/labels/*.tif")):
        with tifffile.TiffFile(file) as tiff:
            if tiff.series[0].ndim < 3 or "timelapse" in str(file):
                continue
            masks = tiff.asarray()
        name = file.relative_to(options.folder).as_posix()
        results[name] = test_volume(masks, SMALLEST.get(name.split("/")[0], SMALLEST_OF_OTHERS))
        print(name, results[name], flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
