import numpy as np
from numpy.typing import NDArray

def diffuse(
    pieces: NDArray[np.int32],
    boxes: NDArray[np.intp],
    ndim: int,
    spacing: NDArray[np.float64],
    weight: NDArray[np.float64],
    n_iter: int,
    flows: NDArray[np.float32],
    start: int,
    stop: int,
) -> int: ...
def follow(
    field: NDArray[np.float32],
    shape: NDArray[np.intp],
    pixels: NDArray[np.intp],
    n_iter: int,
    endpoints: NDArray[np.float32],
    start: int,
    stop: int,
) -> None: ...
def group(ends: NDArray[np.int32], node: NDArray[np.int32], group_of: NDArray[np.int32]) -> int: ...
