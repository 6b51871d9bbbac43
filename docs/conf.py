"""Sphinx configuration; the pictures are drawn at every build by make_pictures.py."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import make_pictures  # noqa: E402

import flowseg  # noqa: E402

project = "flowseg"
author = "the flowseg developers"
copyright = "2026, the flowseg developers"
version = release = flowseg.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
default_role = "autolink"
autosummary_generate = True
numpydoc_show_class_members = False
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
html_title = "flowseg"

make_pictures.draw_all(HERE / "generated")
