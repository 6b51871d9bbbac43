"""Packages that only some of flowseg needs."""

from __future__ import annotations

import importlib
from typing import Any

# Extras whose packages are of no use one by one.
BUNDLES = {"bioio": "bioio bioio-czi bioio-lif bioio-nd2", "large": "zarr dask distributed"}


def need(package: str, extra: str) -> Any:
    """Import a package, or say how to install it: by its own name, for flowseg itself has no release yet."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(
            f"this needs the package {name}; install it with: pip install {BUNDLES.get(extra, name)}"
        ) from error
