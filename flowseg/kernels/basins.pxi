# Basins: the pixels whose flows lead to one sink. Few pixels are followed until they settle. Basins grow from the sinks
# in rings: a point that reaches pixels of one basin only belongs to this basin.

# A sink is a pixel at which flows converge by more than this, in pixels per step and pixel. A perfect center has 4, a
# straight flow 0. Source: half of the 1 of a straight flow that ends at a border.
cdef double MIN_CONVERGENCE = 0.5

# Steps that a pixel takes to reach a basin beside it. Source: measured on label images of nuclei,
# where one or two are enough but at bends of the flow.
cdef int MAX_FLOOD_STEPS = 8

# Cosine of the largest angle between a flow and the direction of a neighbor that it points at: 67.5 degrees, a corner
# and a half of eight. Source: three of the eight neighbors lie within it.
cdef float AHEAD_COSINE = 0.38268343


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


cdef inline double _convergence(const Field *field, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2) noexcept nogil:
    # Sum over the axes of how much the flows of the two neighbors point at this pixel.
    cdef Py_ssize_t axis, stride = 1
    cdef Py_ssize_t p[3]
    cdef Py_ssize_t i = (i0 * field.shape[1] + i1) * field.shape[2] + i2
    cdef double total = 0.0
    p[0] = i0
    p[1] = i1
    p[2] = i2
    for axis in range(2, 2 - field.ndim, -1):
        if p[axis] > 0 and field.state[i - stride] != BACKGROUND:
            total += field.flow[axis][i - stride]
        if p[axis] + 1 < field.shape[axis] and field.state[i + stride] != BACKGROUND:
            total -= field.flow[axis][i + stride]
        stride *= field.shape[axis]
    return total


cdef bint _is_peak(const Field *field, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2, double here) noexcept nogil:
    # Whether flows converge at no neighbor more than `here`, the convergence at this pixel.
    cdef Py_ssize_t p0, p1, p2
    for p0 in range(max(i0 - 1, 0), min(i0 + 2, field.shape[0])):
        for p1 in range(max(i1 - 1, 0), min(i1 + 2, field.shape[1])):
            for p2 in range(max(i2 - 1, 0), min(i2 + 2, field.shape[2])):
                if (field.state[(p0 * field.shape[1] + p1) * field.shape[2] + p2] != BACKGROUND
                        and _convergence(field, p0, p1, p2) > here):
                    return False
    return True


def find_sinks(const float[:, :, :, ::1] flows, int[:, :, ::1] state, Py_ssize_t[::1] pixels):
    """List the sinks in ``pixels`` and return their number.

    A sink is a pixel at which flows converge, and more than at any neighbor.
    """
    cdef Py_ssize_t i0, i1, i2, count = 0, n = state.shape[2]
    cdef double here
    cdef Field field
    _set_field(&field, flows, state)
    with nogil:
        for i0 in range(state.shape[0]):
            for i1 in range(state.shape[1]):
                i2 = _skip_zeros(<const unsigned int *> &state[i0, i1, 0], 0, n)
                while i2 < n:
                    here = _convergence(&field, i0, i1, i2)
                    if here > MIN_CONVERGENCE and _is_peak(&field, i0, i1, i2, here):
                        pixels[count] = (i0 * state.shape[1] + i1) * n + i2
                        count += 1
                    i2 = _skip_zeros(<const unsigned int *> &state[i0, i1, 0], i2 + 1, n)
    return count


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


cdef inline int _basin_ahead(const Field *field, Py_ssize_t pixel) noexcept nogil:
    # The basin of the neighbors that the flow of a pixel of a plane points at. 0 if they belong to several basins, if
    # one is unassigned, or on the image's border.
    cdef Py_ssize_t at[3]
    cdef Py_ssize_t r, c
    cdef float d, f1 = field.flow[1][pixel], f2 = field.flow[2][pixel]
    cdef float least = AHEAD_COSINE * AHEAD_COSINE * (f1 * f1 + f2 * f2)
    cdef int state, found = 0
    _unravel_index(field.shape, pixel, at)
    if (at[1] == 0 or at[2] == 0 or at[1] + 1 == field.shape[1] or at[2] + 1 == field.shape[2]):
        return 0
    for r in range(-1, 2):
        for c in range(-1, 2):
            d = f1 * r + f2 * c
            if d > 0.0 and d * d > least * (r * r + c * c):
                state = field.state[pixel + r * field.shape[2] + c]
                if state < 0 or (state > 0 and found > 0 and state != found):
                    return 0
                found = max(found, state)
    return found


cdef Py_ssize_t _queue_neighbors(const Field *field, Py_ssize_t pixel, Py_ssize_t *queue, Py_ssize_t n) noexcept nogil:
    # Append the unassigned pixels at and beside a pixel to the n pixels in the queue; returns the new n.
    cdef Py_ssize_t p0, p1, p2, i
    cdef Py_ssize_t at[3]
    _unravel_index(field.shape, pixel, at)
    for p0 in range(max(at[0] - 1, 0), min(at[0] + 2, field.shape[0])):
        for p1 in range(max(at[1] - 1, 0), min(at[1] + 2, field.shape[1])):
            for p2 in range(max(at[2] - 1, 0), min(at[2] + 2, field.shape[2])):
                i = (p0 * field.shape[1] + p1) * field.shape[2] + p2
                if field.state[i] == UNASSIGNED:
                    field.state[i] = QUEUED
                    queue[n] = i
                    n += 1
    return n


def list_neighbors(
    int[:, :, ::1] state, const Py_ssize_t[::1] exclude, const Py_ssize_t[::1] pixels, Py_ssize_t[::1] neighbors
):
    """List the unassigned pixels at and beside ``pixels``, but not ``exclude``; return their number.

    ``exclude`` must hold unassigned pixels.
    """
    cdef Py_ssize_t i, n = 0
    cdef int *flat = &state[0, 0, 0]
    cdef Field field
    field.state = flat
    for i in range(3):
        field.shape[i] = state.shape[i]
    with nogil:
        for i in range(exclude.shape[0]):
            flat[exclude[i]] = QUEUED
        for i in range(pixels.shape[0]):
            n = _queue_neighbors(&field, pixels[i], &neighbors[0], n)
        for i in range(n):
            flat[neighbors[i]] = UNASSIGNED
        for i in range(exclude.shape[0]):
            flat[exclude[i]] = UNASSIGNED
    return n


def flood(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] seeds, Py_ssize_t[::1] queue,
    int[::1] basin, const int[::1] interrupt
):
    """Grow basins from the pixels ``seeds``, which belong to basins, to all pixels that lead there.

    In every round each unassigned pixel beside a basin takes a few steps. Whether it arrives depends on the rounds
    before, not on the order within the round. ``queue`` and ``basin`` need room for all foreground pixels. Returns
    FINISHED or INTERRUPTED.
    """
    cdef Py_ssize_t i, n = 0, n_grown
    cdef int t
    cdef double x[3]
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Field field
    _set_field(&field, flows, state)
    with nogil:
        for i in range(seeds.shape[0]):
            n = _queue_neighbors(&field, seeds[i], &queue[0], n)
        while n > 0 and interrupt_flag[0] == 0:
            for i in range(n):
                basin[i] = _basin_ahead(&field, queue[i]) if field.ndim == 2 else 0
                if basin[i]:
                    continue
                _pixel_center(&field, queue[i], x)
                for t in range(MAX_FLOOD_STEPS):
                    _step(&field, x)
                    basin[i] = _basin_around(&field, x)
                    if basin[i]:
                        break
            n_grown = 0
            for i in range(n):
                field.state[queue[i]] = basin[i] if basin[i] else UNASSIGNED
                if basin[i]:
                    queue[n_grown] = queue[i]
                    n_grown += 1
            # The pixels that got a basin stand first in the queue. Their neighbors go behind them, then to the front.
            n = n_grown
            for i in range(n_grown):
                n = _queue_neighbors(&field, queue[i], &queue[0], n)
            n -= n_grown
            memmove(&queue[0], &queue[n_grown], n * sizeof(Py_ssize_t))
    return INTERRUPTED if interrupt_flag[0] else FINISHED


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


cdef inline double _length(const Field *field, Py_ssize_t i) noexcept nogil:
    # Length of the flow at a pixel.
    cdef Py_ssize_t axis
    cdef double square = 0.0
    for axis in range(3 - field.ndim, 3):
        square += <double> field.flow[axis][i] * field.flow[axis][i]
    return sqrt(square)


cdef void _compare_sides(
    const Field *field, Py_ssize_t axis, Py_ssize_t i, Py_ssize_t j, double *agreement, double *convergence
) noexcept nogil:
    # Agreement and convergence of the flows at the pixels i and j, before and after a face across `axis`.
    cdef Py_ssize_t k
    cdef double dot = 0.0, before = _length(field, i), after = _length(field, j)
    for k in range(3 - field.ndim, 3):
        dot += <double> field.flow[k][i] * field.flow[k][j]
    agreement[0] = dot
    dot = field.flow[axis][i] / before if before > 0.0 else 0.0
    convergence[0] = dot - (field.flow[axis][j] / after if after > 0.0 else 0.0)


def list_faces(
    const float[:, :, :, ::1] flows, int[:, :, ::1] labels, int[:, ::1] pairs, double[::1] agreement,
    double[::1] convergence, double[::1] squares, double[::1] sizes
):
    """List the faces between pixels of different labels and return their number; the first fill the arrays.

    ``pairs[:, k]`` becomes the labels before and after face k, and ``agreement[k]`` the dot product of the flows on its
    two sides. ``convergence[k]`` becomes the component along the axis of the flow's direction before the face, less
    that after it: positive where flows point at each other. The squared length of every pixel's flow is added to
    ``squares``, and 1 to ``sizes``, at the pixel's label.
    """
    cdef Py_ssize_t axis, i, j, count = 0, n = labels.shape[2]
    cdef double length
    cdef Py_ssize_t room = pairs.shape[1]
    cdef Py_ssize_t stride[3]
    cdef Py_ssize_t at[3]
    cdef Field field
    _set_field(&field, flows, labels)
    stride[0] = labels.shape[1] * n
    stride[1] = n
    stride[2] = 1
    with nogil:
        for at[0] in range(labels.shape[0]):
            for at[1] in range(labels.shape[1]):
                at[2] = _skip_zeros(<const unsigned int *> &labels[at[0], at[1], 0], 0, n)
                while at[2] < n:
                    i = (at[0] * labels.shape[1] + at[1]) * n + at[2]
                    if field.state[i] > 0:
                        length = _length(&field, i)
                        squares[field.state[i]] += length * length
                        sizes[field.state[i]] += 1.0
                    for axis in range(3 - field.ndim if field.state[i] > 0 else 3, 3):
                        j = i + stride[axis]
                        if at[axis] + 1 == field.shape[axis] or field.state[j] in (
                                field.state[i], BACKGROUND, UNASSIGNED):
                            continue
                        if count < room:
                            pairs[0, count] = field.state[i]
                            pairs[1, count] = field.state[j]
                            _compare_sides(&field, axis, i, j, &agreement[count], &convergence[count])
                        count += 1
                    at[2] = _skip_zeros(<const unsigned int *> &labels[at[0], at[1], 0], at[2] + 1, n)
    return count
