"""Trained networks in files for other programs: ONNX, and packages of bioimage.io. See docs/how_to/export.rst."""
