"""OME-Zarr images for tests, as this module writes them and as other writers do."""

import numpy as np
import zarr

AXIS_TYPES = {"t": "time", "c": "channel"}


def write_ome_zarr(path, array, axes="yx", *, version="0.5", scale=None, unit="micrometer", n_levels=2, chunks=None):
    """Write an image with halved levels; return the group."""
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    scale = scale or [1.0] * array.ndim
    datasets = []
    for level in range(n_levels):
        step = tuple(slice(None, None, 2**level if name in "yx" else 1) for name in axes)
        part = array[step]
        stored = group.create_array(
            str(level),
            shape=part.shape,
            dtype=part.dtype,
            chunks=chunks or tuple(min(n, 64) for n in part.shape),
            chunk_key_encoding={"name": "default" if zarr_format == 3 else "v2", "separator": "/"},
            dimension_names=list(axes) if zarr_format == 3 else None,
        )
        stored[...] = part
        factors = [s * (2**level if name in "yx" else 1) for s, name in zip(scale, axes)]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    described = [{"name": a, "type": AXIS_TYPES.get(a, "space")} | ({"unit": unit} if a in "zyx" else {}) for a in axes]
    entry = {"axes": described, "datasets": datasets, "name": "image"}
    if version == "0.4":
        group.attrs["multiscales"] = [entry | {"version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [entry]}
    return group


def change_metadata(path, change):
    """Change the OME attributes of a group in place."""
    group = zarr.open_group(path, mode="r+")
    ome = group.attrs.get("ome")
    attributes = dict(group.attrs) if ome is None else dict(ome)
    change(attributes)
    group.attrs.update(attributes if ome is None else {"ome": attributes})


def numbers(shape, dtype=np.uint16, seed=0):
    """Random numbers."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)
