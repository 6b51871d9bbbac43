"""Where flows are ahead and where behind: image by image, and by the size of objects."""

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scores import THRESHOLDS, format_precision, format_thresholds, precision

# Bounds in pixels of the classes of images, by their typical object.
SIZES = (0.0, 12.0, 24.0, np.inf)


def write_ahead(ours: dict[str, Any], others: dict[str, dict[str, Any]], at: tuple[int, ...], file: Path) -> None:
    """For each other tool and threshold: on how many images flows are ahead, equal and behind, and how far at most.

    Errors are false positives and false negatives; how many fewer the other has on the image where that is most.
    """
    a = np.array(ours["counts"])
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        heads = ("ahead / equal / behind at {:g}", "fewer errors than flows, at most")
        writer.writerow(["flows (seed 0) beside", *(head.format(THRESHOLDS[i]) for i in at for head in heads)])
        for name, other in others.items():
            b, cells = np.array(other["counts"]), []
            for i in at:
                lead = _precision_per_image(a)[:, i] - _precision_per_image(b)[:, i]
                fewer = (a[:, i, 1:] - b[:, i, 1:]).sum(axis=1)
                cells += [f"{np.sum(lead > 0)} / {np.sum(lead == 0)} / {np.sum(lead < 0)}", max(fewer.max(), 0)]
            writer.writerow([name, *cells])


def write_sizes(jobs: dict[str, dict[str, Any]], diameters: list[float], at: tuple[int, ...], file: Path) -> None:
    """Average precision of each tool on images of small, middling and large objects."""
    group = np.digitize(diameters, SIZES[1:-1])
    images = {_say_range(*bounds): np.flatnonzero(group == k) for k, bounds in enumerate(itertools.pairwise(SIZES))}
    images = {name: found for name, found in images.items() if found.size}
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        heads = [f"{name} ({found.size} images)" for name, found in images.items()]
        writer.writerow(["AP at IoU " + format_thresholds(at), *heads])
        for name, job in jobs.items():
            counts = np.array(job["counts"])
            values = [precision(counts[found]) for found in images.values()]
            writer.writerow([name, *(format_precision(v, at) for v in values)])


def _precision_per_image(counts: np.ndarray) -> np.ndarray:
    return np.array([precision(image[np.newaxis]) for image in counts])


def _say_range(low: float, high: float) -> str:
    if low == 0:
        return f"under {high:g} pixels"
    return f"{low:g} and more" if np.isinf(high) else f"{low:g} to {high:g}"
