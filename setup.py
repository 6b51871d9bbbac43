"""Build the one compiled module; everything else about the package is in pyproject.toml."""

import os
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# A free-threaded interpreter has no stable ABI: there the extension is built for that one version.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")
# For the test suite, and slow: FLOWSEG_BOUNDSCHECK=1 makes every array access of the kernels checked, and
# FLOWSEG_CHECKED_MEMORY=1 the memory that they take (see kernels/memory.h).
BOUNDSCHECK = os.environ.get("FLOWSEG_BOUNDSCHECK", "0") == "1"
CHECKED_MEMORY = os.environ.get("FLOWSEG_CHECKED_MEMORY", "0") == "1"

# Where the project lives is known to the workflow that builds a release, and to nobody who builds from a copy.
REPOSITORY = "/".join(os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY")).strip("/")
PAGES = {
    "Homepage": "",
    "Documentation": "/tree/main/docs",
    "Source": "",
    "Issues": "/issues",
    "Changelog": "/blob/main/CHANGELOG.md",
}

extension = Extension(
    "flowseg._diffusion",
    ["flowseg/_diffusion.pyx"],
    depends=[str(path) for suffix in ("*.pxi", "*.h") for path in Path("flowseg/kernels").glob(suffix)],
    include_dirs=["flowseg"],
    # No fused multiply-add: the results are the same on every machine that rounds as IEEE 754 says.
    extra_compile_args=[] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] * LIMITED_API + [("FLOWSEG_CHECKED_MEMORY", "1")] * CHECKED_MEMORY,
    py_limited_api=LIMITED_API,
)

setup(
    project_urls={name: REPOSITORY + page for name, page in PAGES.items()} if REPOSITORY else {},
    ext_modules=cythonize(
        [extension],
        build_dir="build/cython",
        compiler_directives={"boundscheck": BOUNDSCHECK},
        force=BOUNDSCHECK or CHECKED_MEMORY,
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
