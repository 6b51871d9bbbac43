"""Optional packages."""

from __future__ import annotations

import importlib
from typing import Any

# Extras whose packages are useful only together.
BUNDLES = {"bioio": "bioio bioio-czi bioio-lif bioio-nd2", "large": "zarr dask distributed"}


def need(package: str, extra: str) -> Any:
    """Import a package; the ImportError names the package to install, as flowseg itself has no release yet."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(
            f"this needs the package {name}; install it with: pip install {BUNDLES.get(extra, name)}"
        ) from error
