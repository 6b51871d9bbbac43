# Which pixels lead to the same place, without walking all the way: a point that comes to where all pixels around it are
# known to end together ends with them. Knowledge spreads outwards from the ends, one ring of pixels after the other.

# A pixel where flows meet: they converge by more than this, in pixels per step and pixel (a perfect centre: 4).
cdef double LEAST_CONVERGENCE = 0.5

# Steps to reach what is known from next to it: one or two are enough but for bends.
cdef int NEAR_STEPS = 8

# Cosine of the angle within which a flow points at a neighbour: three of the eight.
cdef float AHEAD_COSINE = 0.38268343

cdef int UNKNOWN = -1
cdef int QUEUED = -2


def mark_foreground(const float[:, :, ::1] cellprob, float threshold, int[:, :, ::1] state):
    """Set ``state``, which holds zeros, to -1 where ``cellprob`` is larger than the threshold; returns how many."""
    cdef Py_ssize_t i0, i1, i2, count = 0
    with nogil:
        for i0 in range(state.shape[0]):
            for i1 in range(state.shape[1]):
                for i2 in range(state.shape[2]):
                    if cellprob[i0, i1, i2] > threshold:
                        state[i0, i1, i2] = UNKNOWN
                        count += 1
    return count


cdef inline double _convergence(const Field *field, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2) noexcept nogil:
    # By how much the flows of the neighbours along each axis point at this pixel.
    cdef Py_ssize_t axis, stride = 1
    cdef Py_ssize_t p[3]
    cdef Py_ssize_t i = (i0 * field.shape[1] + i1) * field.shape[2] + i2
    cdef double total = 0.0
    p[0] = i0
    p[1] = i1
    p[2] = i2
    for axis in range(2, 2 - field.ndim, -1):
        if p[axis] > 0 and field.state[i - stride] != 0:
            total += field.flow[axis][i - stride]
        if p[axis] + 1 < field.shape[axis] and field.state[i + stride] != 0:
            total -= field.flow[axis][i + stride]
        stride *= field.shape[axis]
    return total


cdef bint _is_peak(const Field *field, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2, double here) noexcept nogil:
    cdef Py_ssize_t p0, p1, p2
    for p0 in range(max(i0 - 1, 0), min(i0 + 2, field.shape[0])):
        for p1 in range(max(i1 - 1, 0), min(i1 + 2, field.shape[1])):
            for p2 in range(max(i2 - 1, 0), min(i2 + 2, field.shape[2])):
                if (field.state[(p0 * field.shape[1] + p1) * field.shape[2] + p2] != 0
                        and _convergence(field, p0, p1, p2) > here):
                    return False
    return True


def find_meetings(const float[:, :, :, ::1] flows, int[:, :, ::1] state, Py_ssize_t[::1] pixels):
    """List the pixels where flows converge more than at any neighbour; returns how many."""
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
                    if here > LEAST_CONVERGENCE and _is_peak(&field, i0, i1, i2, here):
                        pixels[count] = (i0 * state.shape[1] + i1) * n + i2
                        count += 1
                    i2 = _skip_zeros(<const unsigned int *> &state[i0, i1, 0], i2 + 1, n)
    return count


def list_unknown(int[:, :, ::1] state, Py_ssize_t[::1] pixels):
    """List the foreground pixels that are not known to lead anywhere; returns how many."""
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


cdef inline int _known_ahead(const Field *field, Py_ssize_t pixel) noexcept nogil:
    # The object that all neighbours of a pixel of a plane lead to that its flow points at (by less than a corner and a
    # half); 0 where they differ or one is unknown. On the image's border: 0.
    cdef Py_ssize_t place[3]
    cdef Py_ssize_t r, c
    cdef float d, f1 = field.flow[1][pixel], f2 = field.flow[2][pixel]
    cdef float least = AHEAD_COSINE * AHEAD_COSINE * (f1 * f1 + f2 * f2)
    cdef int state, found = 0
    _find_place(field.shape, pixel, place)
    if (place[1] == 0 or place[2] == 0 or place[1] + 1 == field.shape[1] or place[2] + 1 == field.shape[2]):
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


cdef Py_ssize_t _queue_neighbours(const Field *field, Py_ssize_t pixel, Py_ssize_t *queue, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t p0, p1, p2, i
    cdef Py_ssize_t place[3]
    _find_place(field.shape, pixel, place)
    for p0 in range(max(place[0] - 1, 0), min(place[0] + 2, field.shape[0])):
        for p1 in range(max(place[1] - 1, 0), min(place[1] + 2, field.shape[1])):
            for p2 in range(max(place[2] - 1, 0), min(place[2] + 2, field.shape[2])):
                i = (p0 * field.shape[1] + p1) * field.shape[2] + p2
                if field.state[i] == UNKNOWN:
                    field.state[i] = QUEUED
                    queue[n] = i
                    n += 1
    return n


def list_around(
    int[:, :, ::1] state, const Py_ssize_t[::1] pixels, const Py_ssize_t[::1] places, Py_ssize_t[::1] around
):
    """List the unknown pixels at and next to ``places`` that are not among ``pixels``; returns how many."""
    cdef Py_ssize_t i, n = 0
    cdef int *flat = &state[0, 0, 0]
    cdef Field field
    field.state = flat
    for i in range(3):
        field.shape[i] = state.shape[i]
    with nogil:
        for i in range(pixels.shape[0]):
            flat[pixels[i]] = QUEUED
        for i in range(places.shape[0]):
            n = _queue_neighbours(&field, places[i], &around[0], n)
        for i in range(n):
            flat[around[i]] = UNKNOWN
        for i in range(pixels.shape[0]):
            flat[pixels[i]] = UNKNOWN
    return n


def flood(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] known, Py_ssize_t[::1] queue,
    int[::1] found, const int[::1] interrupt
):
    """Spread what is known from the pixels ``known`` to all that lead there.

    ``state`` is 0 in the background, positive where it is known which end a pixel leads to, -1 elsewhere. In every
    round each unknown pixel next to a known one walks a few steps; whether it arrives depends on the
    rounds before only, not on the order within the round. ``queue`` and ``found`` have room for all foreground
    pixels. Returns 0, or -2 where it was interrupted.
    """
    cdef Py_ssize_t i, n = 0, fresh
    cdef int t
    cdef double x[3]
    cdef const volatile_int *interrupted = &interrupt[0]
    cdef Field field
    _set_field(&field, flows, state)
    with nogil:
        for i in range(known.shape[0]):
            n = _queue_neighbours(&field, known[i], &queue[0], n)
        while n > 0 and interrupted[0] == 0:
            for i in range(n):
                found[i] = _known_ahead(&field, queue[i]) if field.ndim == 2 else 0
                if found[i]:
                    continue
                _set_place(&field, queue[i], x)
                for t in range(NEAR_STEPS):
                    _step(&field, x)
                    found[i] = _known_at(&field, x)
                    if found[i]:
                        break
            fresh = 0
            for i in range(n):
                field.state[queue[i]] = found[i] if found[i] else UNKNOWN
                if found[i]:
                    queue[fresh] = queue[i]
                    fresh += 1
            # The fresh ones stand at the queue's beginning and their neighbours behind them, then move to the front.
            n = fresh
            for i in range(fresh):
                n = _queue_neighbours(&field, queue[i], &queue[0], n)
            n -= fresh
            memmove(&queue[0], &queue[fresh], n * sizeof(Py_ssize_t))
    return STOPPED if interrupted[0] else 0


def group(const int[:, ::1] ends, int[:, :, ::1] state, int[::1] first, int[::1] group_of):
    """Number the end points 1..n by the pixel they lie on, in the order of first appearance; returns n.

    ``ends`` holds the nearest pixel of each end point, shape (3, n_points). ``state``, of -1 and above, takes the
    numbers down while they are given, as -2 and below; ``first``, of the size of ``group_of``, is scratch.
    """
    cdef Py_ssize_t k
    cdef int n_groups = 0
    cdef int *pixel
    with nogil:
        for k in range(ends.shape[1]):
            pixel = &state[ends[0, k], ends[1, k], ends[2, k]]
            if pixel[0] >= UNKNOWN:
                first[n_groups] = pixel[0]
                n_groups += 1
                pixel[0] = UNKNOWN - n_groups
            group_of[k] = UNKNOWN - pixel[0]
        for k in range(ends.shape[1]):
            pixel = &state[ends[0, k], ends[1, k], ends[2, k]]
            if pixel[0] < UNKNOWN:
                pixel[0] = first[group_of[k] - 1]
    return n_groups


cdef inline double _length(const Field *field, Py_ssize_t i) noexcept nogil:
    # Length of the flow at a pixel.
    cdef Py_ssize_t axis
    cdef double square = 0.0
    for axis in range(3 - field.ndim, 3):
        square += <double> field.flow[axis][i] * field.flow[axis][i]
    return sqrt(square)


cdef void _compare(
    const Field *field, Py_ssize_t axis, Py_ssize_t i, Py_ssize_t j, double *agreement, double *meeting
) noexcept nogil:
    # Dot product of the flows before and after a face across `axis`, and by how much their directions meet there.
    cdef Py_ssize_t k
    cdef double dot = 0.0, before = _length(field, i), after = _length(field, j)
    for k in range(3 - field.ndim, 3):
        dot += <double> field.flow[k][i] * field.flow[k][j]
    agreement[0] = dot
    dot = field.flow[axis][i] / before if before > 0.0 else 0.0
    meeting[0] = dot - (field.flow[axis][j] / after if after > 0.0 else 0.0)


def list_faces(
    const float[:, :, :, ::1] flows, int[:, :, ::1] labels, int[:, ::1] pairs, double[::1] agreement,
    double[::1] meeting, double[::1] squares, double[::1] sizes
):
    """List the faces between pixels of different labels; returns how many, the first of which fill the arrays.

    ``pairs[:, k]`` becomes the labels before and after the face, ``agreement[k]`` the dot product of the flows on its
    two sides, ``meeting[k]`` by how much they point at each other: the component of the direction along the axis
    before it less the one after it. The squared length of every pixel's flow is added to ``squares``, and 1 to
    ``sizes``, at the pixel's label.
    """
    cdef Py_ssize_t axis, i, j, count = 0, n = labels.shape[2]
    cdef double length
    cdef Py_ssize_t room = pairs.shape[1]
    cdef Py_ssize_t stride[3]
    cdef Py_ssize_t place[3]
    cdef Field field
    _set_field(&field, flows, labels)
    stride[0] = labels.shape[1] * n
    stride[1] = n
    stride[2] = 1
    with nogil:
        for place[0] in range(labels.shape[0]):
            for place[1] in range(labels.shape[1]):
                place[2] = _skip_zeros(<const unsigned int *> &labels[place[0], place[1], 0], 0, n)
                while place[2] < n:
                    i = (place[0] * labels.shape[1] + place[1]) * n + place[2]
                    if field.state[i] > 0:
                        length = _length(&field, i)
                        squares[field.state[i]] += length * length
                        sizes[field.state[i]] += 1.0
                    for axis in range(3 - field.ndim if field.state[i] > 0 else 3, 3):
                        j = i + stride[axis]
                        if place[axis] + 1 == field.shape[axis] or field.state[j] in (field.state[i], 0, UNKNOWN):
                            continue
                        if count < room:
                            pairs[0, count] = field.state[i]
                            pairs[1, count] = field.state[j]
                            _compare(&field, axis, i, j, &agreement[count], &meeting[count])
                        count += 1
                    place[2] = _skip_zeros(<const unsigned int *> &labels[place[0], place[1], 0], place[2] + 1, n)
    return count
