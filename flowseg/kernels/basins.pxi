# Basins: the pixels whose flows lead to one sink. Every pixel has a successor, the pixel that a short path along the
# flow comes to. Successors form a graph with one way out of every pixel, so each of its parts has one cycle, the sink.
# A successor depends on the flows within a few pixels, so the basins of an image can be found block by block.

# A path ends at the first position that is this far from its start, in pixels. Source: measured
# (docs/explanation/flows.rst); longer paths take more time, and shorter ones make more spurious sinks in noise.
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


cdef inline void _set_path_origin(Field *field, Py_ssize_t axis, Py_ssize_t i) noexcept nogil:
    # Count positions along an axis so that pixel i is at PATH_ORIGIN.
    field.first[axis] = PATH_ORIGIN - i
    field.last[axis] = PATH_ORIGIN - i + field.shape[axis] - 1


cdef inline void _take_first_step(const Field *field, Py_ssize_t pixel, double *x) noexcept nogil:
    # Put x one step from the center of a pixel, where the flow is that of the pixel.
    cdef Py_ssize_t axis
    cdef double scale, length = 0.0
    for axis in range(3 - field.ndim, 3):
        length += <double> field.flow[axis][pixel] * field.flow[axis][pixel]
    scale = 1.0 / sqrt(length) if length > MAX_SQUARED_STEP else 1.0
    x[0] = 0.0
    for axis in range(3 - field.ndim, 3):
        x[axis] = PATH_ORIGIN
        _move(field, axis, field.flow[axis][pixel] * scale, x)


cdef inline bint _has_arrived(const Field *field, const double *x) noexcept nogil:
    # Whether a path has come as far as PATH_LENGTH.
    cdef Py_ssize_t axis
    cdef double d, distance = 0.0
    for axis in range(3 - field.ndim, 3):
        d = x[axis] - PATH_ORIGIN
        distance += d * d
    return distance >= PATH_LENGTH * PATH_LENGTH


cdef bint _find_most_weighted(const Field *field, const double *x, Py_ssize_t *at) noexcept nogil:
    # Set `at` to the foreground pixel that counts most in the interpolation at x, and to the first of equals. Returns
    # whether there is one. The first axis varies fastest.
    cdef Py_ssize_t axis, corner, i
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double fraction[3]
    cdef double weight, most = 0.0
    cdef Py_ssize_t best = 0
    for axis in range(3):
        fraction[axis] = _bracket(field, axis, x[axis], &low[axis], &high[axis])
    for corner in range(8):
        weight = 1.0
        i = 0
        for axis in range(3):
            weight *= fraction[axis] if corner >> axis & 1 else 1.0 - fraction[axis]
            i = i * field.shape[axis] + (high[axis] if corner >> axis & 1 else low[axis])
        if weight > most and field.state[field.origin + i] != BACKGROUND:
            most = weight
            best = corner
    for axis in range(3):
        at[axis] = high[axis] if best >> axis & 1 else low[axis]
    return most > 0.0


cdef inline unsigned short _shift_to(const Field *field, const double *x) noexcept nogil:
    # Code of the shift to the foreground pixel nearest to x: the nearest pixel or, if that is background, another one
    # of those around x. No shift if there is none: the path has left the foreground.
    cdef Py_ssize_t axis, i = 0, code = 0
    cdef Py_ssize_t at[3]
    for axis in range(3 - field.ndim, 3):
        at[axis] = <Py_ssize_t> x[axis]
        at[axis] += x[axis] - at[axis] > 0.5
        i = i * field.shape[axis] + at[axis]
    if field.state[field.origin + i] == BACKGROUND and not _find_most_weighted(field, x, at):
        return NO_SHIFT
    for axis in range(3):
        code = code * SHIFTS + MAX_SHIFT
        if axis >= 3 - field.ndim:
            code += at[axis] - PATH_ORIGIN
    return <unsigned short> code


cdef inline unsigned short _find_successor(const Field *field, Py_ssize_t pixel) noexcept nogil:
    # Code of the shift to the successor of a pixel, which lies at PATH_ORIGIN.
    cdef double x[3]
    cdef int t = 1
    _take_first_step(field, pixel, x)
    while t < MAX_PATH_STEPS and not _has_arrived(field, x):
        _step(field, x)
        t += 1
    return _shift_to(field, x)


def find_successors(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, unsigned short[:, :, ::1] shifts,
    Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """Write into ``shifts`` how far the successor of every foreground pixel is, for the pixels ``start .. stop - 1``.

    These are flat indices. Returns FINISHED or INTERRUPTED.
    """
    cdef Py_ssize_t pixel, row, row_start, row_stop, n = state.shape[2]
    cdef Py_ssize_t to_origin = PATH_ORIGIN * n + PATH_ORIGIN
    cdef unsigned short *shift = &shifts[0, 0, 0]
    cdef const unsigned int *flat = <const unsigned int *> &state[0, 0, 0]
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Field field
    _set_field(&field, flows, state)
    if field.ndim == 3:
        to_origin += PATH_ORIGIN * n * state.shape[1]
    with nogil:
        while start < stop and interrupt_flag[0] == 0:
            row = start // n
            row_start = row * n
            row_stop = min(row_start + n, stop)
            if field.ndim == 3:
                _set_path_origin(&field, 0, row // state.shape[1])
            _set_path_origin(&field, 1, row % state.shape[1])
            pixel = _skip_zeros(flat, start, row_stop)
            while pixel < row_stop:
                _set_path_origin(&field, 2, pixel - row_start)
                field.origin = pixel - to_origin
                shift[pixel] = _find_successor(&field, pixel)
                pixel = _skip_zeros(flat, pixel + 1, row_stop)
            start = row_stop
    return INTERRUPTED if interrupt_flag[0] else FINISHED


def number_basins(const unsigned short[:, :, ::1] shifts, int[:, :, ::1] state, int limit):
    """Replace UNASSIGNED in ``state`` by the numbers of basins, 1..n in raster order of first pixels; return n.

    Ends early and returns -1 if there are more basins than ``limit``.
    """
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
                if n == limit:
                    n = -1
                    break
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
