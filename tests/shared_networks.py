"""Let the networks of many tests share what takes the time of short runs: the first step of a network.

Nothing here may load TensorFlow before a test does: the viewer's tests must not have it in their process.
"""

import functools
import os
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np


def find_seed(usual, other):
    """A seed with which a training of a few steps finds objects: that is chance, and differs off TensorFlow."""
    return usual if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" else other


def accept_copies(patch):
    """Let variables and tensors of Keras' other backends be copied without NumPy's DeprecationWarning.

    Keras copies them by ``numpy.array``, which passes them an argument that they do not have yet. Python hides the
    warning from users, but not from tests that count warnings.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        return
    kinds = [import_module("keras").Variable] + ([import_module("torch").Tensor] if backend == "torch" else [])
    for kind in kinds:

        def as_array(self, dtype=None, copy=None, original=kind.__array__):
            array = original(self, dtype)
            return array.copy() if copy else array

        patch.setattr(kind, "__array__", as_array)


def share_files(patch):
    """Read the network of each model file once."""
    from flowseg._segmenters.model_files import reading

    known, read = {}, reading.read_fitted

    def read_fitted(document, path, fixed, prediction, crop_size):
        if fixed.is_custom:
            return read(document, path, fixed, prediction, crop_size)
        import_module("flowseg._nets.networks").check_process()
        key = sha256(Path(path).read_bytes()).digest(), fixed
        if key not in known:
            known[key] = read(document, path, fixed, prediction, crop_size)
        first = known[key]
        again = reading.read_learned(document, path, fixed, prediction, first.network, first.grid)
        return replace(again, _prediction=first._prediction)

    patch.setattr(reading, "read_fitted", read_fitted)


def share_training_steps(patch):
    """Train networks of the same structure by one compiled step, on a copy that gives its weights back."""
    from flowseg._segmenters.fitting import train_and_choose

    make_start, shared = train_and_choose.make_start, []

    def make_start_and_share(*arguments, **options):  # the last call before the training, which has loaded TensorFlow
        if not shared:
            shared.append(_share_steps(import_module("flowseg._nets.training.loop")))
        return make_start(*arguments, **options)

    patch.setattr(train_and_choose, "make_start", make_start_and_share)


def _share_steps(loop):
    from flowseg._nets.network_copies import copy_network

    train, compile_network = loop.train, loop._compile
    copies, compiled, idle = [], [], {}

    def is_in(network, networks):
        return any(network is one for one in networks)

    def compile_once(network, run):
        if not is_in(network, compiled):
            compile_network(network, run)
            compiled.extend([network] if is_in(network, copies) else [])
            return
        for variable in network.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))  # not 0 * variable: it may be infinite
        network.optimizer.learning_rate = run.settings.learning_rate

    @functools.wraps(train)
    def train_a_copy(network, run):
        if network.name not in ("unet", "resunet"):  # a custom one
            return train(network, run)
        key = repr((loop.describe_structure(network), run.codec.loss_name))
        copy = idle.pop(key, None)
        if copy is None:
            copies.append(copy := copy_network(network, seed=0))
        copy.set_weights(network.get_weights())
        try:
            history = train(copy, run)
            network.set_weights(copy.get_weights())
        finally:
            idle[key] = copy
        return history

    loop.train, loop._compile = train_a_copy, compile_once
    loop.CALLER_OF_FIT += 1  # the frame of `train_a_copy`
