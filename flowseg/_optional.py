"""Packages that only some of flowseg needs."""

from __future__ import annotations

import importlib
from typing import Any


def need(package: str, extra: str) -> Any:
    """Import a package, or say which extra brings it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"this needs the package {package.split('.')[0]}; install it with: pip install 'flowseg[{extra}]'"
        ) from error
