"""Segment touching, irregular objects with flows learned from your own annotated images."""

import logging

import lazy_loader

__version__ = "0.1.0"

logging.getLogger("flowseg").addHandler(logging.NullHandler())  # silent unless the program sets up logging

# `__init__.pyi` holds the public names. Each is loaded on first use: importing flowseg is quick and needs no Keras.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
