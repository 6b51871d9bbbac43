"""Sphinx configuration. Every build draws the figures, lists the commands and runs the examples."""

import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's messages are not the examples'
logging.getLogger("tensorflow").setLevel(logging.ERROR)

import make_command_reference  # noqa: E402
import make_pictures  # noqa: E402

import flowseg  # noqa: E402

project = "flowseg"
author = "the flowseg developers"
copyright = "2026, the flowseg developers"
version = release = flowseg.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
# Links into other libraries' pages need a connection, so only Read the Docs makes them.
if os.environ.get("READTHEDOCS") == "True":
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "scipy": ("https://docs.scipy.org/doc/scipy", None),
    "skimage": ("https://scikit-image.org/docs/stable", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "zarr": ("https://zarr.readthedocs.io/en/stable", None),
    "dask": ("https://docs.dask.org/en/stable", None),
}
exclude_patterns = ["_build", "examples", "generated/*.rst"]  # the last are parts of other pages
rst_prolog = ".. currentmodule:: flowseg\n"  # so that `predict_flows` and the like are links
default_role = "autolink"
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"  # docstrings have the types, in words
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
html_title = "flowseg"
html_static_path = ["_static"]
html_css_files = ["flowseg.css"]
html_sidebars = {"index": []}  # the start page belongs to no section
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "generated/examples",
    "backreferences_dir": None,
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # tables; not what every line of Matplotlib's gives
    "write_computation_times": False,
    "show_memory": False,
    "remove_config_comments": True,
    "thumbnail_size": (480, 320),
    "min_reported_time": 1,
}

make_pictures.draw_all(HERE / "generated")
make_command_reference.write(HERE / "generated" / "command_line.rst")
