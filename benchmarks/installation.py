"""The README's two commands, installation and demo, on several versions of Python and backends of Keras.

python benchmarks/installation.py PYTHON [PYTHON ...] [--backends tensorflow jax torch] [--torch "torch==2.13.*"]

PYTHON is an interpreter. Each row of the table docs/tables/installation.csv is measured in a fresh clone of this
checkout and a fresh environment: minutes of installation and of the demo, size of the environment, and average
precision of the demo's model. Rows of earlier runs stay. TensorFlow is installed as the README says, JAX and PyTorch as
docs/how_to/backends.rst says for flowseg without TensorFlow. ``--torch`` is the requirement for PyTorch, of which pip
takes a release with CUDA unless told otherwise. Downloads that pip has cached are not measured.
"""

import argparse
import csv
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "tables" / "installation.csv"
BACKENDS = ("tensorflow", "jax", "torch")
SCORES = r"^\s+(\d\.\d+)\s+(\d\.\d+)\s+this model$"
VERSION = "import platform; print(platform.python_version())"
NAMES = "import importlib.metadata as m; print(' '.join(f'{{n}} {{m.version(n)}}' for n in ('{0}', 'keras', 'numpy')))"


def installation(backend: str, torch: str) -> list[str]:
    """Return the arguments of pip, one string for each call."""
    if backend == "tensorflow":
        return ["install --quiet ."]
    page = (ROOT / "docs" / "how_to" / "backends.rst").read_text()
    listed = re.search(r"pip install torch( .*)\n\s+pip install --no-deps \.\n", page)
    if listed is None:
        raise ValueError("docs/how_to/backends.rst must say how to install flowseg without TensorFlow.")
    package = torch if backend == "torch" else backend
    return [f"install --quiet {package}{listed[1]}", "install --quiet --no-deps ."]


def measure(python: str, backend: str, torch: str) -> dict[str, str]:
    """Return the row of an interpreter and a backend."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_BACKEND")}
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "flowseg"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)

        def run(*command: object) -> str:
            words = [str(word) for word in command]
            done = subprocess.run(words, cwd=clone, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            return done.stdout.strip()

        start = time.perf_counter()
        run(python, "-m", "venv", ".venv")
        for words in installation(backend, torch):
            run(".venv/bin/python", "-m", "pip", *words.split())
        installed = time.perf_counter()
        printed = run(".venv/bin/flowseg", "demo")
        done = time.perf_counter()
        ((ap_50, ap_75),) = re.findall(SCORES, printed, re.MULTILINE)
        return {
            "Python": run(".venv/bin/python", "-c", VERSION),
            "backend": backend,
            "installation, minutes": f"{(installed - start) / 60:.1f}",
            "demo, minutes": f"{(done - installed) / 60:.1f}",
            "environment, GB": f"{int(run('du', '-sb', '.venv').split()[0]) / 1e9:.1f}",
            "AP at IoU 0.5": ap_50,
            "AP at IoU 0.75": ap_75,
            "packages": run(".venv/bin/python", "-c", NAMES.format(backend)),
        }


def main() -> None:
    """Measure, and write the table after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="interpreter")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS, help="by default all")
    parser.add_argument("--torch", default="torch", metavar="REQUIREMENT", help="of PyTorch, for pip")
    options = parser.parse_args()
    rows = {}
    if TABLE.exists():
        with open(TABLE, newline="") as file:
            rows = {(row["Python"], row["backend"]): row for row in csv.DictReader(file)}
    for python in options.pythons:
        for backend in options.backends:
            row = measure(python, backend, options.torch)
            print(row, flush=True)
            rows[row["Python"], backend] = row
            with open(TABLE, "w", newline="") as file:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows[key] for key in sorted(rows, key=lambda key: (key[0], BACKENDS.index(key[1]))))


if __name__ == "__main__":
    main()
