"""Model files: one .safetensors file with the weights by name and one JSON document; see docs/reference/model_file.rst.

Nothing in a file is executed or turned into code.
"""
