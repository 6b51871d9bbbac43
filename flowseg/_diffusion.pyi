from typing import Any

import numpy as np
from numpy.typing import NDArray

def compute_flows(
    components: NDArray[np.int32],
    boxes: NDArray[np.intp],
    order: NDArray[np.intp],
    spacing: NDArray[np.float64],
    n_iter: int,
    flows: NDArray[np.float32],
    interrupt: NDArray[np.int32],
) -> int: ...
def compute_flow_errors(
    components: NDArray[np.int32],
    boxes: NDArray[np.intp],
    order: NDArray[np.intp],
    flows: NDArray[np.float32],
    errors: NDArray[np.float64],
    interrupt: NDArray[np.int32],
) -> int: ...
def checks_memory() -> bool: ...
def use_poison(byte: int) -> None: ...
def fail_allocation(number: int, lasting: bool = False) -> None: ...
def count_allocations() -> tuple[int, int, int]: ...
def list_widths() -> list[int]: ...
def use_width(bits: int) -> None: ...
def count_runs(labels: NDArray[Any], limit: int) -> int: ...
def find_components(
    labels: NDArray[Any], limit: int, components: NDArray[np.int32], parent: NDArray[np.int32], label_of: NDArray[Any]
) -> tuple[int, int]: ...
def renumber(
    components: NDArray[np.int32],
    number: NDArray[np.int32],
    boxes: NDArray[np.intp],
    sizes: NDArray[np.intp],
    first: NDArray[np.intp],
) -> None: ...
def unite_pairs(pairs: NDArray[np.int32], parent: NDArray[np.int32]) -> None: ...
def follow_until_settled(
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    pixels: NDArray[np.intp],
    endpoints: NDArray[np.float32],
    start: int,
    stop: int,
    interrupt: NDArray[np.int32],
) -> int: ...
def follow_steps(
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    pixels: NDArray[np.intp],
    n_iter: int,
    endpoints: NDArray[np.float32],
    start: int,
    stop: int,
    interrupt: NDArray[np.int32],
) -> int: ...
def mark_foreground(cellprob: NDArray[np.float32], threshold: float, state: NDArray[np.int32]) -> int: ...
def find_successors(
    flows: NDArray[np.float32],
    state: NDArray[np.int32],
    shifts: NDArray[np.uint16],
    start: int,
    stop: int,
    interrupt: NDArray[np.int32],
) -> int: ...
def number_basins(shifts: NDArray[np.uint16], state: NDArray[np.int32], limit: int) -> int: ...
def list_unassigned(state: NDArray[np.int32], pixels: NDArray[np.intp]) -> int: ...
def number_endpoints(
    pixels: NDArray[np.int32], state: NDArray[np.int32], saved: NDArray[np.int32], number: NDArray[np.int32]
) -> int: ...
def sum_borders(
    flows: NDArray[np.float32],
    labels: NDArray[np.int32],
    pairs: NDArray[np.int32],
    sums: NDArray[np.int64],
    count: int,
    totals: NDArray[np.int64],
    start: int,
) -> tuple[int, int]: ...
def add_borders(
    pairs: NDArray[np.int32],
    sums: NDArray[np.int64],
    table_pairs: NDArray[np.int32],
    table_sums: NDArray[np.int64],
    count: int,
) -> int: ...
def join_basins(
    pairs: NDArray[np.int32],
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    min_affinity: float,
    parent: NDArray[np.int32],
    interrupt: NDArray[np.int32],
) -> int: ...
