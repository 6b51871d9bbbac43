"""The deep-learning package that Keras runs on: which one it is, its settings before it starts, and its messages.

No other module of flowseg names TensorFlow, JAX or PyTorch, or one of their environment variables.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import ref

# Keras' backends that flowseg is tested with, by the module that each imports. If none is chosen, the first one that is
# installed is used: TensorFlow comes first because most of our measurements were made with it.
TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
# Whether the network for prediction (`folded_unet`) takes less time than the trained one (benchmarks/backends.py).
FOLDED = ("tensorflow", "torch")
# Backends for which one graph is made of a network for prediction (`make_graph`).
GRAPHED = ("tensorflow",)
# Backends that compile a whole step. The others run one layer after the other: TensorFlow was slower with XLA on a
# CPU, and PyTorch would need a C++ compiler on the user's machine.
COMPILED = ("jax",)
# Where Keras draws the initial weights. The models that come with flowseg were trained so, and can be trained again.
DRAWN_BY_KERAS = ("tensorflow",)

# What segmenters need besides: pip's names, by the modules that are imported.
OTHERS = {"sklearn": "scikit-learn", "safetensors": "safetensors", "tqdm": "tqdm"}

# Keras' variable that chooses the backend.
CHOICE = "KERAS_BACKEND"
# One operation at a time, each with all threads. Side by side, gradients are added in the order in which they come, and
# the same seed gives other last bits. TensorFlow reads it when it starts; a value that is already set stays.
INTEROP = "TF_NUM_INTEROP_THREADS"
# Environment variables by which the processes of a block-wise run are given a number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", INTEROP)
# Whether TensorFlow computes with oneDNN, "0" or "1", which adds in another order. By itself TensorFlow turns it on for
# processors with AVX-512 VNNI or the like only. With AVX2, it makes a training step of a volume four times as fast.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# Names of x86 processors in `platform.machine`; others were not measured.
X86 = ("x86_64", "AMD64")

# The module whose import writes messages.
NOISY = "tensorflow"
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Ends the messages where nothing went wrong: they are dropped.
FINE = b"\0fine"


def prepare() -> None:
    """Choose a backend that is installed, and settings of TensorFlow, before Keras is imported.

    What the user chose stays: ``KERAS_BACKEND``, or a backend in ``keras.json`` other than TensorFlow, which Keras
    writes there by itself. Otherwise it is the first one that is installed.

    Raises
    ------
    ImportError
        If Keras or the backend is not installed.
    ValueError
        If the user chose a backend that flowseg does not know.
    """
    os.environ.setdefault(INTEROP, "1")
    if NOISY not in sys.modules and platform.machine() in X86:
        os.environ.setdefault(ONEDNN, "1")
    keras = sys.modules.get("keras")
    if keras is not None:  # runs on its backend already
        _check_known(keras.config.backend(), "the backend of Keras, which is already loaded,")
        return
    installed = [name for name in TITLES if is_installed(name)]
    wanted, source = _find_choice()
    if wanted:
        _check_known(wanted, source)
    if not (installed and is_installed("keras")):
        raise ImportError(_describe_missing([]))
    if wanted and wanted not in installed:
        raise ImportError(
            f"{source} is {wanted!r}, but {TITLES[wanted]} is not installed; install it with: pip install {wanted}"
        )
    if not wanted and installed[0] != NOISY:  # Keras takes TensorFlow by itself
        os.environ[CHOICE] = installed[0]


def is_installed(module: str) -> bool:
    """Return whether a module can be imported; it is not imported."""
    spec = PathFinder.find_spec(module)
    return spec is not None and spec.origin is not None  # else a folder of this name happens to be on the path


def check_others() -> None:
    """Raise ImportError if a segmenter lacks another package; the sentence says what to install.

    That can be after ``pip install --no-deps`` only, which suffices for the array functions.
    """
    missing = [name for module, name in OTHERS.items() if not is_installed(module)]
    if missing:
        raise ImportError(_describe_missing(missing))


def _describe_missing(missing: list[str]) -> str:
    """Return what to install: packages that are missing, Keras and a backend."""
    missing = missing + ([] if is_installed("keras") else ["keras"])
    if not any(map(is_installed, TITLES)):
        missing.append("jax" if sys.version_info >= (3, 14) else "tensorflow")  # which has no wheels for 3.14
    return (
        "segmenters and networks need Keras and one of TensorFlow, JAX and PyTorch; install what is missing with: "
        f"pip install {' '.join(missing)}"
    )


def _check_known(name: str, source: str) -> None:
    if name not in TITLES:
        raise ValueError(f"{source} must be one of {', '.join(map(repr, TITLES))}; got {name!r}.")


def _find_choice() -> tuple[str | None, str]:
    """Return the backend that the user chose, and where; None if there is no choice."""
    if os.environ.get(CHOICE):
        return os.environ[CHOICE], CHOICE
    home = Path("~").expanduser()
    folder = os.environ.get("KERAS_HOME") or (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"
    file = Path(folder).expanduser() / "keras.json"
    try:
        name = json.loads(file.read_text())["backend"]
    except (OSError, ValueError, LookupError, TypeError):  # Keras itself goes on without it
        return None, ""
    return (None if name == NOISY else str(name)), f"backend in {file}"


def make_graph(network: Any, weights: Sequence[Any]) -> Callable[[Any], Any]:
    """Return a function from a batch, shape (n, ..., channels), to the outputs of a network with these weights.

    Keras lets TensorFlow make a graph for the size of the first batch, and another one for all further sizes. Without
    AVX-512, oneDNN computes other last bits with each, so that outputs depend on earlier batches. This graph serves all
    sizes. Its weights are constants, because for a batch of one image TensorFlow lets oneDNN reorder constants only:
    without AVX-512, convolutions take twice as long if weights are not reordered.
    """
    keras: Any = sys.modules["keras"]
    tensorflow: Any = sys.modules[NOISY]
    shape = (*[None] * (len(network.input_shape) - 1), network.input_shape[-1])
    weak: Any = ref(network)  # so that a graph does not keep its network

    def compute(batch: Any) -> Any:
        constants = map(tensorflow.constant, weights)
        with keras.StatelessScope(state_mapping=zip(weak().weights, constants, strict=True)):
            return weak().predict_step((batch,))

    graph = tensorflow.function(compute, input_signature=[tensorflow.TensorSpec(shape, "float32")])
    return lambda batch: keras.tree.map_structure(lambda outputs: outputs.numpy(), graph(batch))


def count_threads(backend: str) -> int | None:
    """Return the threads of one operation, 0 for as many as cores; None if the backend has no such number."""
    module = sys.modules.get(backend)
    count: Any = getattr(module, "get_num_threads", None)
    if backend == NOISY:
        count = getattr(getattr(module, "config", None), "threading", None)
        count = getattr(count, "get_intra_op_parallelism_threads", None)
    return None if count is None else int(count())


def list_devices() -> list[str]:
    """Return the kinds of devices that networks run on, as the loaded backend calls them."""
    keras = sys.modules["keras"]
    if keras.config.backend() != "torch":
        return sorted({device.split(":")[0] for device in keras.distribution.list_devices()})
    accelerator = sys.modules["torch"].accelerator.current_accelerator()  # Keras does not list them
    return ["cpu" if accelerator is None else accelerator.type]


def onednn_setting() -> str:
    """Return whether TensorFlow computes with oneDNN: "0", "1", or "default" if that is not set."""
    return os.environ.get(ONEDNN, "default")


def drop_warnings() -> None:
    """Let TensorFlow log errors only: it warns of images of many shapes, which are usual."""
    logging.getLogger(NOISY).setLevel(logging.ERROR)


def suppress_startup_messages() -> None:
    """Drop what native libraries write to standard error while TensorFlow is imported.

    They write before any of their settings takes effect. If the import fails, or ends the process, the messages are
    shown. They are always shown if TF_CPP_MIN_LOG_LEVEL is 0.
    """
    if os.environ.setdefault(LEVEL, "3") == "0" or NOISY in sys.modules or not hasattr(os, "fork"):
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the module in the usual way, and loads it without its messages."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name != NOISY:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                if self in sys.meta_path:  # until now, as PyTorch asks where the module is without loading it
                    sys.meta_path.remove(self)
                with _messages_kept():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _messages_kept() -> Iterator[None]:
    """Send what is written to file descriptor 2 to a child process, which shows it if the import fails.

    The child outlives this process, so that the last message of a library that aborts is shown.
    """
    try:
        own = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        for category in (DeprecationWarning, RuntimeWarning):  # Python's and JAX's, about threads: the child has none
            warnings.simplefilter("ignore", category)
        keeper = os.fork()
    if keeper == 0:
        _keep(reading, writing, own)
    os.close(reading)
    python_writes: Any = sys.stderr
    if python_writes is sys.__stderr__:
        sys.stderr = os.fdopen(os.dup(own), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
        os.write(2, FINE)
    finally:
        if sys.stderr is not python_writes:
            for handler in logging.getLogger(NOISY).handlers:  # made during the import, with this stream
                if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                    handler.setStream(python_writes)
            sys.stderr.close()
            sys.stderr = python_writes
        os.dup2(own, 2)
        os.close(own)
        os.waitpid(keeper, 0)


def _keep(reading: int, writing: int, terminal: int) -> None:
    """Read messages until FINE or the end of the pipe, then show or drop them; never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(writing)
        os.close(2)
        messages = b""
        while more := os.read(reading, 1 << 16):
            messages += more
            if messages.endswith(FINE):
                return
        os.write(terminal, messages)
    finally:
        os._exit(0)
