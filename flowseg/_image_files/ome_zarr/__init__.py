"""OME-Zarr images and arrays of zarr: nodes in folders and behind URLs, metadata, images."""
