"""The architectures, a U-Net and a residual U-Net: stock Keras layers, no global layer, linear heads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flowseg import _checks
from flowseg._nets import backends
from flowseg._nets.layer_plan import LAYER_TYPES, LayerPlan
from flowseg._nets.load_keras import keras, layers

# Filters per level, the default of the segmenters too. Source: chosen; Cellpose has 32 to 256.
FILTERS = (16, 32, 64, 128, 256)

# Share of the old running mean that batch normalization keeps at each step; Keras' 0.99 lags behind in short trainings.
NORM_MOMENTUM = 0.9

# Set here, so that a user's keras.json does not change it.
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


def is_compiled() -> bool:
    """Return whether steps of training and prediction are compiled as a whole: Keras' ``jit_compile``."""
    return keras.config.backend() in backends.COMPILED


@single_precision()
def build_unet(
    n_channels: int = 1,
    n_outputs: int | None = None,
    *,
    filters: Sequence[int] = FILTERS,
    ndim: int = 2,
    coarse_levels: Sequence[int] | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Build a U-Net in the shape of the Broad Institute's nuclei network, for images or volumes.

    Two 3 x 3 (x 3) convolutions with batch normalization and ReLU per level, max pooling, nearest upsampling,
    concatenating skips, and a linear head [1]_.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    n_outputs : int, optional
        Channels of the output; by default ``ndim + 1``, for flows and foreground. Three classes take 3.
    filters : sequence of int
        Filters per level, from the finest to the coarsest; the Broad network has (64, 128, 256, 512).
    ndim : int
        Axes of an image: 2, or 3 for volumes.
    coarse_levels : sequence of int, optional
        For volumes whose voxels are longer along one axis: for each axis the number of first levels that are not
        pooled along it. Each doubles the length of voxels along the other axes, so that the levels below see voxels of
        about equal sides. By default 0 for every axis.
    seed : int, optional
        Seed of the initial weights.

    Returns
    -------
    network : keras.Model
        Takes (batch, rows, columns, n_channels), rows and columns divisible by ``2 ** (len(filters) - 1)``; returns
        (batch, rows, columns, n_outputs), unbounded. With ``ndim=3`` planes come before rows. An axis with
        ``coarse_levels`` is divisible by 2 to the power of ``len(filters) - 1`` less these.

    Raises
    ------
    TypeError, ValueError
        If a number or ``filters`` is not an integer, or integers, of at least 1, if ``ndim`` is neither 2 nor 3, or if
        ``coarse_levels`` is not one integer per axis, from 0 to ``len(filters) - 1``.

    References
    ----------
    .. [1] J. C. Caicedo et al., "Evaluation of deep learning strategies for nucleus segmentation in fluorescence
       images", Cytometry A 95, 952-965 (2019).

    Examples
    --------
    >>> import flowseg
    >>> flowseg.build_unet(filters=(8, 16), seed=0).output_shape
    (None, None, None, 3)
    >>> flowseg.build_unet(filters=(8, 16), ndim=3, coarse_levels=(1, 0, 0), seed=0).output_shape
    (None, None, None, None, 4)
    """
    n_outputs, widths, plan = _check_arguments(n_channels, n_outputs, filters, ndim, coarse_levels, seed)
    inputs = plan.input(n_channels)

    def block(x: Any, level: int, name: str) -> Any:
        return _convolve_twice(x, widths[level], name, plan)

    def join(x: Any, skip: Any, level: int) -> Any:
        return layers.Concatenate(name=f"skip_{level}")([skip, x])

    x = _u_shape(inputs, len(widths), plan, block=block, join=join)
    return keras.Model(inputs, _head(x, n_outputs, plan), name="unet")


@single_precision()
def build_resunet(
    n_channels: int = 1,
    n_outputs: int | None = None,
    *,
    filters: Sequence[int] = FILTERS,
    ndim: int = 2,
    coarse_levels: Sequence[int] | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Build a U-Net of residual blocks with additive skips, as in Cellpose but without its style vector.

    Parameters
    ----------
    n_channels, n_outputs, filters, ndim, coarse_levels, seed
        As in `build_unet`.

    Returns
    -------
    network : keras.Model
        As in `build_unet`.

    Raises
    ------
    TypeError, ValueError
        As in `build_unet`.

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
    n_outputs, widths, plan = _check_arguments(n_channels, n_outputs, filters, ndim, coarse_levels, seed)
    inputs = plan.input(n_channels)

    def block(x: Any, level: int, name: str) -> Any:
        return _residual_block(x, widths[level], name, plan)

    def join(x: Any, skip: Any, level: int) -> Any:
        x = plan.project(x, widths[level], f"up_{level}_project")
        return layers.Add(name=f"skip_{level}")([skip, x])

    x = _u_shape(inputs, len(widths), plan, block=block, join=join)
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name="head_norm")(x)
    x = layers.ReLU(name="head_relu")(x)
    return keras.Model(inputs, _head(x, n_outputs, plan), name="resunet")


BUILDERS = {"unet": build_unet, "resunet": build_resunet}


def _check_arguments(
    n_channels: int,
    n_outputs: int | None,
    filters: Sequence[int],
    ndim: int,
    coarse_levels: Sequence[int] | None,
    seed: int | None,
) -> tuple[int, list[int], LayerPlan]:
    _checks.as_integer(n_channels, "n_channels", minimum=1)
    if _checks.as_integer(ndim, "ndim", minimum=1) not in LAYER_TYPES:
        raise ValueError(f"ndim must be 2 for images or 3 for volumes; got {ndim}.")
    n_outputs = ndim + 1 if n_outputs is None else _checks.as_integer(n_outputs, "n_outputs", minimum=1)
    start = _checks.as_integer(seed, "seed", minimum=0, none="random")
    widths = _checks.as_filters(filters)
    return n_outputs, widths, LayerPlan(_as_coarse_levels(coarse_levels, ndim, len(widths)), start)


def _as_coarse_levels(coarse_levels: Sequence[int] | None, ndim: int, n_levels: int) -> tuple[int, ...]:
    if coarse_levels is None:
        return (0,) * ndim
    if isinstance(coarse_levels, str) or not isinstance(coarse_levels, Sequence) or len(coarse_levels) != ndim:
        raise ValueError(f"coarse_levels must be {ndim} integers, one per axis; got {coarse_levels!r}.")
    levels = [_checks.as_integer(n, f"coarse_levels[{axis}]", minimum=0) for axis, n in enumerate(coarse_levels)]
    if max(levels) >= n_levels:
        raise ValueError(
            f"coarse_levels must be at most {n_levels - 1}, the number of poolings; got {tuple(coarse_levels)}."
        )
    return tuple(levels)


def _u_shape(
    x: Any,
    n_levels: int,
    plan: LayerPlan,
    *,
    block: Callable[[Any, int, str], Any],
    join: Callable[[Any, Any, int], Any],
) -> Any:
    """Connect a block per level of the encoder with one of the decoder, joined by skips."""
    skips = []
    for level in range(n_levels):
        if level > 0:
            x = plan.pool(x, level)
        x = block(x, level, f"encoder_{level}")
        skips.append(x)
    for level in reversed(range(n_levels - 1)):
        x = plan.enlarge(x, level)
        x = block(join(x, skips[level], level), level, f"decoder_{level}")
    return x


def _convolve_twice(x: Any, width: int, name: str, plan: LayerPlan) -> Any:
    for part in range(2):
        x = plan.convolve(x, width, f"{name}_conv_{part}")
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm_{part}")(x)
        x = layers.ReLU(name=f"{name}_relu_{part}")(x)
    return x


def _residual_block(x: Any, width: int, name: str, plan: LayerPlan) -> Any:
    shortcut = plan.project(x, width, f"{name}_project")
    for part in range(2):
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm_{part}")(x)
        x = layers.ReLU(name=f"{name}_relu_{part}")(x)
        x = plan.convolve(x, width, f"{name}_conv_{part}")
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _head(x: Any, n_outputs: int, plan: LayerPlan) -> Any:
    return plan.project(x, n_outputs, "head", bias=True)


def receptive_radii(n_levels: int, coarse_levels: Sequence[int]) -> tuple[int, ...]:
    """Return along each axis the largest distance of an output pixel to its inputs, in either network.

    Two 3 x 3 convolutions reach ``2 * 2 ** level`` pixels, on the way down at every level and on the way up at all but
    the coarsest: ``6 * 2 ** (n_levels - 1) - 4``. The coarsest pooling window holds up to ``2 ** (n_levels - 1) - 1``
    pixels more: ``7 * 2 ** (n_levels - 1) - 5`` in all.

    Along an axis with coarse levels, these levels are convolved but not pooled: each reaches 4 pixels of the image, 2
    on the way down and 2 on the way up. The levels below are a network of ``n_levels`` less the coarse levels, whose
    finest pixels are those of the image.

    Parameters
    ----------
    n_levels : int
        Levels of the network.
    coarse_levels : sequence of int
        For each axis the number of first levels that are not pooled along it, less than ``n_levels``.
    """
    steps = pooling_steps(n_levels, coarse_levels)
    return tuple(7 * step - 5 + 4 * coarse for step, coarse in zip(steps, coarse_levels, strict=True))


def pooling_steps(n_levels: int, coarse_levels: Sequence[int]) -> tuple[int, ...]:
    """Return along each axis the pixels of the coarsest pooling window: 2 to the power of the poolings along it."""
    return tuple(2 ** (n_levels - 1 - coarse) for coarse in coarse_levels)
