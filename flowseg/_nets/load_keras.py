"""Keras on a backend that is installed: the modules of this package import it from here."""

from __future__ import annotations

from flowseg._nets import backends

backends.prepare()

import keras  # noqa: E402
from keras import layers, ops  # noqa: E402

__all__ = ["keras", "layers", "ops"]
