"""The architectures, a U-Net and a residual U-Net: stock Keras layers, no global layer, linear heads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# One operation at a time, each with all threads. Side by side, gradients are added in the order in which they come, and
# the same seed gives other last bits. TensorFlow reads it when it starts; a value that is already set stays.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
from keras import layers

from flowseg import _checks

# Filters per level, the default of the segmenters too. Source: chosen; Cellpose has 32 to 256.
FILTERS = (16, 32, 64, 128, 256)

# Share of the old running mean that batch normalization keeps at each step; Keras' 0.99 lags behind in short trainings.
NORM_MOMENTUM = 0.9

# Set here, so that a user's keras.json does not change them.
CHANNELS_LAST = "channels_last"
PRECISION = "float32"

# The process that loaded Keras. A fork has none of its backend's threads, and would wait for them for ever.
LOADED_BY = os.getpid()


def check_process() -> None:
    """Raise RuntimeError in a process that was forked from the one that loaded Keras."""
    if os.getpid() != LOADED_BY:
        raise RuntimeError(
            "a segmenter must not be used in a process that was forked after its network was loaded: it would wait for "
            'ever. Start processes with multiprocessing.get_context("spawn") (in a PyTorch DataLoader '
            'multiprocessing_context="spawn"), and load or pass the segmenter there.'
        )


@contextmanager
def single_precision() -> Iterator[None]:
    """Make and train networks in float32, whatever precision is set for Keras elsewhere."""
    policy, float_type = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(PRECISION)
    keras.config.set_dtype_policy(PRECISION)
    try:
        yield
    finally:
        keras.config.set_floatx(float_type)
        keras.config.set_dtype_policy(policy)


class _Seeds:
    """Seeds of the layers' initial weights, one after the other; without a seed they are random."""

    def __init__(self, seed: int | None) -> None:
        self.next_seed = seed

    def initializer(self) -> keras.initializers.Initializer:
        seed = self.next_seed
        if seed is not None:
            self.next_seed = seed + 1
        return keras.initializers.HeNormal(seed=seed)


@single_precision()
def build_unet(
    n_channels: int = 1, n_outputs: int = 3, *, filters: Sequence[int] = FILTERS, seed: int | None = None
) -> keras.Model:
    """Build a U-Net in the shape of the Broad Institute's nuclei network.

    Two 3 x 3 convolutions with batch normalization and ReLU per level, max pooling, nearest upsampling,
    concatenating skips, and a linear head [1]_.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    n_outputs : int
        Channels of the output: 3 for flows in 2-D, and 3 for three classes.
    filters : sequence of int
        Filters per level, from the finest to the coarsest; the Broad network has (64, 128, 256, 512).
    seed : int, optional
        Seed of the initial weights.

    Returns
    -------
    network : keras.Model
        Takes (batch, rows, columns, n_channels), rows and columns divisible by ``2 ** (len(filters) - 1)``; returns
        (batch, rows, columns, n_outputs), unbounded.

    Raises
    ------
    TypeError, ValueError
        If a number or ``filters`` is not an integer, or integers, of at least 1.

    References
    ----------
    .. [1] J. C. Caicedo et al., "Evaluation of deep learning strategies for nucleus segmentation in fluorescence
       images", Cytometry A 95, 952-965 (2019).

    Examples
    --------
    >>> import flowseg
    >>> flowseg.build_unet(filters=(8, 16), seed=0).output_shape
    (None, None, None, 3)
    """
    widths, seeds = _check_arguments(n_channels, n_outputs, filters, seed)
    inputs = keras.Input((None, None, n_channels), name="image")

    def block(x: Any, level: int, name: str) -> Any:
        return _convolve_twice(x, widths[level], name, seeds)

    def join(x: Any, skip: Any, level: int) -> Any:
        return layers.Concatenate(name=f"skip_{level}")([skip, x])

    x = _u_shape(inputs, len(widths), block=block, join=join)
    return keras.Model(inputs, _head(x, n_outputs, seeds), name="unet")


@single_precision()
def build_resunet(
    n_channels: int = 1, n_outputs: int = 3, *, filters: Sequence[int] = FILTERS, seed: int | None = None
) -> keras.Model:
    """Build a U-Net of residual blocks with additive skips, as in Cellpose but without its style vector.

    Parameters
    ----------
    n_channels, n_outputs, filters, seed
        As in `build_unet`.

    Returns
    -------
    network : keras.Model
        As in `build_unet`.

    Raises
    ------
    TypeError, ValueError
        If a number or ``filters`` is not an integer, or integers, of at least 1.

    Notes
    -----
    A style vector (the mean of the coarsest features over the whole image) would make every output depend on every
    pixel. Without one an output depends on a bounded neighborhood, so that images can be cut into tiles without
    seams.

    Examples
    --------
    >>> import flowseg
    >>> flowseg.build_resunet(n_channels=3, filters=(8, 16), seed=0).input_shape
    (None, None, None, 3)
    """
    widths, seeds = _check_arguments(n_channels, n_outputs, filters, seed)
    inputs = keras.Input((None, None, n_channels), name="image")

    def block(x: Any, level: int, name: str) -> Any:
        return _residual_block(x, widths[level], name, seeds)

    def join(x: Any, skip: Any, level: int) -> Any:
        x = _convolve(x, widths[level], f"up_{level}_project", seeds, size=1)
        return layers.Add(name=f"skip_{level}")([skip, x])

    x = _u_shape(inputs, len(widths), block=block, join=join)
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name="head_norm")(x)
    x = layers.ReLU(name="head_relu")(x)
    return keras.Model(inputs, _head(x, n_outputs, seeds), name="resunet")


BUILDERS = {"unet": build_unet, "resunet": build_resunet}


def _check_arguments(
    n_channels: int, n_outputs: int, filters: Sequence[int], seed: int | None
) -> tuple[list[int], _Seeds]:
    _checks.as_integer(n_channels, "n_channels", minimum=1)
    _checks.as_integer(n_outputs, "n_outputs", minimum=1)
    start = _checks.as_integer(seed, "seed", minimum=0, none="random")
    return _checks.as_filters(filters), _Seeds(start)


def _u_shape(
    x: Any, n_levels: int, *, block: Callable[[Any, int, str], Any], join: Callable[[Any, Any, int], Any]
) -> Any:
    """Connect a block per level of the encoder with one of the decoder, joined by skips."""
    skips = []
    for level in range(n_levels):
        if level > 0:
            x = layers.MaxPooling2D(2, data_format=CHANNELS_LAST, name=f"down_{level}")(x)
        x = block(x, level, f"encoder_{level}")
        skips.append(x)
    for level in reversed(range(n_levels - 1)):
        x = layers.UpSampling2D(2, interpolation="nearest", data_format=CHANNELS_LAST, name=f"up_{level}")(x)
        x = block(join(x, skips[level], level), level, f"decoder_{level}")
    return x


def _convolve(x: Any, width: int, name: str, seeds: _Seeds, *, size: int = 3, bias: bool = False) -> Any:
    common = {"padding": "same", "data_format": CHANNELS_LAST, "name": name}
    return layers.Conv2D(width, size, use_bias=bias, kernel_initializer=seeds.initializer(), **common)(x)


def _convolve_twice(x: Any, width: int, name: str, seeds: _Seeds) -> Any:
    for part in range(2):
        x = _convolve(x, width, f"{name}_conv_{part}", seeds)
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm_{part}")(x)
        x = layers.ReLU(name=f"{name}_relu_{part}")(x)
    return x


def _residual_block(x: Any, width: int, name: str, seeds: _Seeds) -> Any:
    shortcut = _convolve(x, width, f"{name}_project", seeds, size=1)
    for part in range(2):
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm_{part}")(x)
        x = layers.ReLU(name=f"{name}_relu_{part}")(x)
        x = _convolve(x, width, f"{name}_conv_{part}", seeds)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _head(x: Any, n_outputs: int, seeds: _Seeds) -> Any:
    return _convolve(x, n_outputs, "head", seeds, size=1, bias=True)


def receptive_radius(n_levels: int) -> int:
    """Return the largest distance of an output pixel to its inputs, in either network of ``n_levels`` levels.

    Two 3 x 3 convolutions reach ``2 * 2 ** level`` pixels, on the way down at every level and on the way up at all but
    the coarsest: ``6 * 2 ** (n_levels - 1) - 4``. The coarsest pooling window holds up to ``2 ** (n_levels - 1) - 1``
    pixels more.
    """
    return int(7 * 2 ** (n_levels - 1) - 5)
