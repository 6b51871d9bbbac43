"""Images in OME-Zarr and arrays of zarr."""
