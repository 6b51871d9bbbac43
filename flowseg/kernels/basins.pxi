# Basins: the pixels whose flows lead to one sink. Every pixel has a successor, the pixel that a short path along the
# flow comes to. Successors form a graph with one way out of every pixel, so each of its parts holds one cycle, the sink.
# A successor depends on the flows within a few pixels, so the basins of an image can be found block by block.

# A path ends at the first position that is this far from its start, in pixels. Source: measured, see docs/design.rst;
# longer paths take more time, and shorter ones make more spurious sinks where flows are noisy.
cdef double PATH_LENGTH = 2.5

# Steps of a path that does not come that far. Source: measured, on flows that a network predicts a third as long as
# they should be.
cdef int MAX_PATH_STEPS = 16

# Distance along an axis, in pixels, between a pixel and its successor. Source: PATH_LENGTH, one more step, rounded.
cdef enum:
    MAX_SHIFT = 4
    SHIFTS = 2 * MAX_SHIFT + 1
    NO_SHIFT = (SHIFTS * SHIFTS * SHIFTS) // 2

# Where a path starts, in pixels from its origin: the same for every pixel, so that rounding is the same wherever in an
# image or in a block of it the pixel lies. Source: larger than MAX_SHIFT, so that positions are positive.
cdef Py_ssize_t PATH_ORIGIN = 8


def mark_foreground(const float[:, :, ::1] cellprob, float threshold, int[:, :, ::1] state):
    """Set ``state`` to UNASSIGNED where ``cellprob`` is above the threshold; return the number of these pixels.

    ``state`` must hold BACKGROUND everywhere.
    """
    cdef Py_ssize_t i0, i1, i2, count = 0
    with nogil:
        for i0 in range(state.shape[0]):
            for i1 in range(state.shape[1]):
                for i2 in range(state.shape[2]):
                    if cellprob[i0, i1, i2] > threshold:
                        state[i0, i1, i2] = UNASSIGNED
                        count += 1
    return count


cdef inline bint _nearest_foreground(const Field *field, const double *x, Py_ssize_t *shift) noexcept nogil:
    # Set `shift`, relative to the field's origin, to the foreground pixel nearest to x among those around it. Returns
    # whether there is one.
    cdef Py_ssize_t axis, corner, i
    cdef Py_ssize_t at[3]
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double fraction[3]
    cdef double weight, most = 0.0
    for axis in range(3):
        _bracket(field, axis, x[axis], &low[axis], &fraction[axis], &high[axis])
    for corner in range(8):
        weight = 1.0
        for axis in range(3):
            if corner >> axis & 1:
                at[axis] = high[axis]
                weight *= fraction[axis]
            else:
                at[axis] = low[axis]
                weight *= 1.0 - fraction[axis]
        i = (at[0] * field.shape[1] + at[1]) * field.shape[2] + at[2]
        if weight > most and field.state[i] != BACKGROUND:
            most = weight
            for axis in range(3):
                shift[axis] = at[axis] - field.origin[axis]
    return most > 0.0


cdef inline unsigned short _shift_code(const Field *field, const double *x) noexcept nogil:
    # Code of the shift to the foreground pixel nearest to x; no shift if there is none: the path has left the foreground.
    cdef Py_ssize_t axis, code = 0
    cdef Py_ssize_t shift[3]
    if not _nearest_foreground(field, x, shift):
        return NO_SHIFT
    for axis in range(3):
        code = code * SHIFTS + shift[axis] - PATH_ORIGIN + MAX_SHIFT
    return <unsigned short> code


cdef void _follow_paths(Field *field, const Py_ssize_t *columns, Py_ssize_t n, unsigned short *shifts) noexcept nogil:
    # Follow the flows from n pixels of one row, which take turns, and write the codes of their shifts.
    cdef Py_ssize_t k, axis, t = 0
    cdef Py_ssize_t column[BLOCK]
    cdef double x[BLOCK][3]
    cdef double d, distance
    for k in range(n):
        column[k] = columns[k]
        for axis in range(3):
            x[k][axis] = PATH_ORIGIN
    while n > 0:
        t += 1
        k = 0
        while k < n:
            field.origin[2] = column[k] - PATH_ORIGIN
            _step(field, x[k])
            distance = 0.0
            for axis in range(3 - field.ndim, 3):
                d = x[k][axis] - PATH_ORIGIN
                distance += d * d
            if distance < PATH_LENGTH * PATH_LENGTH and t < MAX_PATH_STEPS:
                k += 1
                continue
            shifts[column[k]] = _shift_code(field, x[k])
            n -= 1
            column[k] = column[n]
            for axis in range(3):
                x[k][axis] = x[n][axis]


def find_successors(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, unsigned short[:, :, ::1] shifts,
    Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """Write into ``shifts`` how far the successor of every foreground pixel is, for the rows ``start .. stop - 1``.

    Rows count through all planes. Returns FINISHED or INTERRUPTED.
    """
    cdef Py_ssize_t row, plane, column, n = state.shape[2], n_paths
    cdef Py_ssize_t columns[BLOCK]
    cdef const unsigned int *first
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Field field
    _set_field(&field, flows, state)
    with nogil:
        for row in range(start, stop):
            if interrupt_flag[0]:
                break
            plane = row // state.shape[1]
            field.origin[0] = plane - PATH_ORIGIN
            field.origin[1] = row - plane * state.shape[1] - PATH_ORIGIN
            first = <const unsigned int *> &state[plane, row - plane * state.shape[1], 0]
            column = _skip_zeros(first, 0, n)
            while column < n:
                n_paths = 0
                while column < n and n_paths < BLOCK:
                    columns[n_paths] = column
                    n_paths += 1
                    column = _skip_zeros(first, column + 1, n)
                _follow_paths(&field, columns, n_paths, &shifts[plane, row - plane * state.shape[1], 0])
    return INTERRUPTED if interrupt_flag[0] else FINISHED


def number_basins(const unsigned short[:, :, ::1] shifts, int[:, :, ::1] state):
    """Replace UNASSIGNED in ``state`` by the numbers of basins, 1..n in raster order of first pixels; return n."""
    cdef Py_ssize_t code, i, j, pixel, size = state.shape[0] * state.shape[1] * state.shape[2]
    cdef Py_ssize_t distance[SHIFTS * SHIFTS * SHIFTS]
    cdef const unsigned short *shift = &shifts[0, 0, 0]
    cdef int *flat = &state[0, 0, 0]
    cdef int number, n = 0
    for code in range(SHIFTS * SHIFTS * SHIFTS):
        i = code // (SHIFTS * SHIFTS) - MAX_SHIFT
        i = i * state.shape[1] + code // SHIFTS % SHIFTS - MAX_SHIFT
        distance[code] = i * state.shape[2] + code % SHIFTS - MAX_SHIFT
    with nogil:
        pixel = _skip_zeros(<const unsigned int *> flat, 0, size)
        while pixel < size:
            i = pixel
            while flat[i] == UNASSIGNED:
                flat[i] = ON_PATH
                i += distance[shift[i]]
            number = flat[i]
            if number == ON_PATH:  # the path has come back to itself: a new sink
                n += 1
                number = n
            j = pixel
            while flat[j] == ON_PATH:
                flat[j] = number
                j += distance[shift[j]]
            pixel = _skip_zeros(<const unsigned int *> flat, pixel + 1, size)
    return n


def list_unassigned(int[:, :, ::1] state, Py_ssize_t[::1] pixels):
    """List the foreground pixels that belong to no basin in ``pixels`` and return their number."""
    cdef Py_ssize_t i, count = 0, n = state.shape[0] * state.shape[1] * state.shape[2]
    cdef const int *flat = &state[0, 0, 0]
    with nogil:
        i = _skip_zeros(<const unsigned int *> flat, 0, n)
        while i < n:
            if flat[i] < 0:
                pixels[count] = i
                count += 1
            i = _skip_zeros(<const unsigned int *> flat, i + 1, n)
    return count


def number_endpoints(const int[:, ::1] pixels, int[:, :, ::1] state, int[::1] saved, int[::1] number):
    """Number endpoints 1..n by the pixel that they lie on, in the order of first appearance; return n.

    ``pixels`` holds the nearest pixel of each endpoint, shape (3, n_points). ``number`` gets their numbers. ``state``
    must hold UNASSIGNED or more. It is used to mark pixels, as numbers below UNASSIGNED, and restored from ``saved``,
    which needs the size of ``number``.
    """
    cdef Py_ssize_t k
    cdef int n_numbers = 0
    cdef int *pixel
    with nogil:
        for k in range(pixels.shape[1]):
            pixel = &state[pixels[0, k], pixels[1, k], pixels[2, k]]
            if pixel[0] >= UNASSIGNED:
                saved[n_numbers] = pixel[0]
                n_numbers += 1
                pixel[0] = UNASSIGNED - n_numbers
            number[k] = UNASSIGNED - pixel[0]
        for k in range(pixels.shape[1]):
            pixel = &state[pixels[0, k], pixels[1, k], pixels[2, k]]
            if pixel[0] < UNASSIGNED:
                pixel[0] = saved[number[k] - 1]
    return n_numbers
