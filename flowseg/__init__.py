"""Segment touching, irregular objects with flows learned from your own annotated images."""

import lazy_loader

__version__ = "0.1.0"

# `__init__.pyi` holds the public names. Each is loaded on first use: importing flowseg is quick and needs no Keras.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
