"""Segment images larger than memory, block by block, to the masks of the whole image."""

import lazy_loader

# As in `flowseg`: a worker process starts without what only the process that started the run needs.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
