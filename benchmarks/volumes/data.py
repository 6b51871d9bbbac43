"""The annotated volumes that tools are compared on: one file per set that every environment can read with NumPy.

SET/VARIATION changes what a tool is given: "sparse8" keeps one annotated plane in eight of the training volumes,
"no_spacing" withholds the spacing, "guess" makes one up, "thinned" keeps every second plane of all volumes.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from skimage import measure

# Planes of each orientation that 2-D segmenters train on and choose on.
N_PLANES = {"train": 40, "validation": 10}
# Voxels along every axis that are left of every volume for a quick try of the scripts.
QUICK_SIDE = 64
# "one plane in eight annotated"
SPARSE_STEP = 8
THIN_STEP = 2


@dataclass(frozen=True)
class Source:
    """A set: where it comes from, which voxels are for what, and what the tools are given."""

    folder: str
    spacing: tuple[float, float, float] | None
    smallest: int  # voxels; smaller objects are ignored (-1)
    parts: tuple[tuple[str, str, tuple[slice, ...]], ...]  # split here, split of the set, part of each volume
    give_spacing: bool = True
    sparse: bool = False
    thin: bool = False


WHOLE = (slice(None),)
SPLITS = (("train", "train", WHOLE), ("validation", "val", WHOLE), ("test", "test_open", WHOLE))
# One volume. Columns 60-99 are the test part; of the others the first planes, which cut through the fewest nuclei.
PARTS_OF_OVULE = (
    ("train", "train", (slice(25, None), slice(None), slice(0, 60))),
    ("validation", "train", (slice(0, 25), slice(None), slice(0, 60))),
    ("test", "train", (slice(None), slice(None), slice(60, 100))),
)
SETS = {
    # Its voxel size is not stated.
    "chloroplasts_em3d": Source("chloroplasts_em3d", None, 0, SPLITS),
    # Slivers of fewer than 100 voxels are made by the cut or by the border of the source's crop.
    "ovule_nuclei3d": Source("ovule_nuclei3d", (0.2837, 0.1268, 0.1268), 100, PARTS_OF_OVULE),
    # 10 nm isotropic; that of one of the two training volumes (gala) is not stated and taken to be the same.
    "neurites_em3d": Source("neurites_em3d", (10.0, 10.0, 10.0), 500, SPLITS),
}


def find_source(name: str) -> Source:
    """Return the source of SET or SET/VARIATION."""
    folder, _, variation = name.partition("/")
    source = SETS[folder]
    match variation:
        case "":
            return source
        case "sparse8":
            return replace(source, sparse=True)
        case "no_spacing":
            return replace(source, give_spacing=False)
        case "thinned":
            return replace(source, thin=True)
        case "thinned_no_spacing":
            return replace(source, thin=True, give_spacing=False)
        case "guess" if folder == "chloroplasts_em3d":
            # Planes that are two apart correlate (0.97) as neighboring pixels do, which are 2 x 2 binned.
            return replace(source, spacing=(0.5, 1.0, 1.0))
    raise ValueError(f"sets must be one of {', '.join(SETS)} with a variation that it has; got {name}.")


def pack(data: Path, name: str, file: Path, *, quick: bool) -> None:
    """Write volumes, masks and planes of one set as plain arrays named SPLIT/KIND/NUMBER."""
    source = find_source(name)
    given = None if source.spacing is None else np.array(source.spacing) * (THIN_STEP if source.thin else 1, 1, 1)
    arrays = {"spacing": given if given is not None and source.give_spacing else np.zeros(0)}
    for split, of_set, part in source.parts:
        for i, (image, masks) in enumerate(_read(data / source.folder, of_set)):
            image, masks = image[part], masks[part]
            if quick:
                part = tuple(_fullest(masks, axis) for axis in range(3))
                image, masks = image[part], masks[part]
            masks = ignore_small(split_cut(masks), source.smallest)
            if source.thin:
                image, masks = image[::THIN_STEP], masks[::THIN_STEP]
            if source.sparse and split == "train":
                masks = keep_planes(masks, SPARSE_STEP)
            arrays[f"{split}/image/{i:04d}"], arrays[f"{split}/mask/{i:04d}"] = image, masks
        if split in N_PLANES:
            arrays |= _pack_planes(arrays, split)
    np.savez(file, **arrays)


def _read(folder: Path, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    with open(folder / "samples.csv", newline="") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["split"] == split), key=lambda row: row["id"])
    return [(tifffile.imread(folder / row["image"]), tifffile.imread(folder / row["label"])) for row in rows]


def _fullest(masks: np.ndarray, axis: int) -> slice:
    """Return the part of an axis, of QUICK_SIDE at most, with the most annotated voxels."""
    side = min(QUICK_SIDE, masks.shape[axis])
    sums = np.cumsum((masks > 0).sum(axis=tuple(a for a in range(3) if a != axis)))
    start = int(np.argmax(sums[side - 1 :] - np.concatenate([[0], sums[:-side]])))
    return slice(start, start + side)


def split_cut(masks: np.ndarray) -> np.ndarray:
    """Give every connected component a label of its own: the parts of what a cut went through."""
    return measure.label(masks, background=0, connectivity=masks.ndim).astype(np.int32)


def ignore_small(masks: np.ndarray, smallest: int) -> np.ndarray:
    """Make objects of fewer voxels pixels to ignore: neither they nor what is found there counts."""
    sizes = np.bincount(masks.ravel())
    sizes[0] = smallest
    return np.where(sizes[masks] < smallest, -1, masks).astype(np.int32)


def keep_planes(masks: np.ndarray, step: int) -> np.ndarray:
    """Keep the annotation of the planes 0, STEP, 2 STEP ... and make all others pixels to ignore."""
    sparse = np.full_like(masks, -1)
    sparse[::step] = masks[::step]
    return sparse


def _pack_planes(arrays: dict[str, np.ndarray], split: str) -> dict[str, np.ndarray]:
    """Planes of all volumes, and how often to repeat each so that all orientations have about the same share."""
    numbers = [name.rsplit("/", 1)[1] for name in arrays if name.startswith(f"{split}/image/")]
    packed, repeats = {}, []
    for axis in range(3):
        found = []
        for number in numbers:
            volume = arrays[f"{split}/image/{number}"], arrays[f"{split}/mask/{number}"]
            found += cut_planes(*volume, arrays["spacing"], axis, -(-N_PLANES[split] // len(numbers)))
        for image, masks in found:
            packed[f"{split}/plane/{len(repeats):04d}"], packed[f"{split}/plane_mask/{len(repeats):04d}"] = image, masks
            repeats.append(max(1, round(N_PLANES[split] / len(found))))
    return packed | {f"{split}/plane_repeats": np.array(repeats, np.int64)}


def cut_planes(
    image: np.ndarray, masks: np.ndarray, spacing: np.ndarray, axis: int, n: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return up to N annotated planes across one axis, pixels made square if the spacing is known."""
    annotated = np.flatnonzero((masks > 0).any(axis=tuple(a for a in range(3) if a != axis)))
    chosen = annotated[np.unique(np.linspace(0, annotated.size - 1, min(n, annotated.size)).round().astype(int))]
    factors = np.delete(spacing / spacing.min(), axis) if spacing.size else np.ones(2)
    planes = []
    for i in chosen:
        plane = ndimage.zoom(image.take(i, axis).astype(np.float32), factors, order=1, mode="nearest", grid_mode=True)
        flat = ndimage.zoom(masks.take(i, axis), factors, order=0, mode="nearest", grid_mode=True)
        labels = split_cut(np.maximum(flat, 0))
        planes.append((plane, np.where(flat < 0, -1, labels).astype(np.int32)))
    return planes
