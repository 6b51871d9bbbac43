# Following flows: unit steps along the flow interpolated linearly between pixel centres, until a point has settled.
# Points advance in turns, a block of them at a time, so that no step waits for the one before.

# A point has settled when it stays within SETTLED_RADIUS pixels of an earlier place for SETTLED_STEPS steps: where
# flows meet, unit steps swing around the meeting place, they do not stop.
cdef Py_ssize_t SETTLED_STEPS = 16
cdef double SETTLED_RADIUS = 1.0

# Squared length of a step; unit vectors of float32 may be a trifle longer than 1.
cdef double LONGEST_STEP = 1.000001

cdef enum:
    BLOCK = 16


cdef struct Field:
    const float *flow[3]    # per axis; NULL where it does not count
    int *state              # 0 in the background, where the flow counts as 0
    Py_ssize_t shape[3]
    Py_ssize_t ndim


cdef struct Walker:
    double x[3]
    double anchor[3]
    double total[3]         # of the places since the anchor
    Py_ssize_t t
    Py_ssize_t since        # steps since the anchor
    Py_ssize_t stretch      # steps to the next anchor
    Py_ssize_t point


cdef void _set_field(Field *field, const float[:, :, :, ::1] flows, int[:, :, ::1] state) noexcept nogil:
    cdef Py_ssize_t axis
    field.ndim = flows.shape[0]
    field.state = &state[0, 0, 0]
    for axis in range(3):
        field.shape[axis] = state.shape[axis]
        field.flow[axis] = NULL
        if axis >= 3 - field.ndim:
            field.flow[axis] = &flows[axis - 3 + field.ndim, 0, 0, 0]


cdef inline void _locate(const Field *field, Py_ssize_t axis, double x, Py_ssize_t *low, double *part,
                         Py_ssize_t *high) noexcept nogil:
    # The pixels before and after x along one axis, and how far x is from the first; x lies inside the image.
    low[0] = <Py_ssize_t> x
    part[0] = x - low[0]
    high[0] = low[0] + (low[0] + 1 < field.shape[axis])


cdef inline void _advance(const Field *field, Py_ssize_t axis, double value, double *x) noexcept nogil:
    x[axis] = min(max(x[axis] + value, 0.0), <double> (field.shape[axis] - 1))


cdef inline void _step_plane(const Field *field, double *x) noexcept nogil:
    cdef Py_ssize_t r0, r1, c0, c1, n = field.shape[2]
    cdef double r, c, w00, w01, w10, w11, v1, v2, length
    _locate(field, 1, x[1], &r0, &r, &r1)
    _locate(field, 2, x[2], &c0, &c, &c1)
    r0 *= n
    r1 *= n
    w11 = r * c
    w10 = r - w11
    w01 = c - w11
    w00 = 1.0 - r - w01
    if ((field.state[r0 + c0] == 0) | (field.state[r0 + c1] == 0)) | (
            (field.state[r1 + c0] == 0) | (field.state[r1 + c1] == 0)):
        w00 = w00 if field.state[r0 + c0] else 0.0
        w01 = w01 if field.state[r0 + c1] else 0.0
        w10 = w10 if field.state[r1 + c0] else 0.0
        w11 = w11 if field.state[r1 + c1] else 0.0
    v1 = ((w00 * field.flow[1][r0 + c0] + w01 * field.flow[1][r0 + c1])
          + (w10 * field.flow[1][r1 + c0] + w11 * field.flow[1][r1 + c1]))
    v2 = ((w00 * field.flow[2][r0 + c0] + w01 * field.flow[2][r0 + c1])
          + (w10 * field.flow[2][r1 + c0] + w11 * field.flow[2][r1 + c1]))
    length = v1 * v1 + v2 * v2
    if length > LONGEST_STEP:  # never further than one pixel, however long the flow is
        length = 1.0 / sqrt(length)
        v1 *= length
        v2 *= length
    _advance(field, 1, v1, x)
    _advance(field, 2, v2, x)


cdef inline void _step_volume(const Field *field, double *x) noexcept nogil:
    cdef Py_ssize_t axis, corner, i
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double part[3]
    cdef double value[3]
    cdef double w, length = 0.0
    for axis in range(3):
        _locate(field, axis, x[axis], &low[axis], &part[axis], &high[axis])
        value[axis] = 0.0
    for corner in range(8):
        i = high[0] if corner & 4 else low[0]
        i = i * field.shape[1] + (high[1] if corner & 2 else low[1])
        i = i * field.shape[2] + (high[2] if corner & 1 else low[2])
        w = part[0] if corner & 4 else 1.0 - part[0]
        w *= part[1] if corner & 2 else 1.0 - part[1]
        w *= part[2] if corner & 1 else 1.0 - part[2]
        w *= field.state[i] != 0
        for axis in range(3):
            value[axis] += w * field.flow[axis][i]
    for axis in range(3):
        length += value[axis] * value[axis]
    length = 1.0 / sqrt(length) if length > LONGEST_STEP else 1.0
    for axis in range(3):
        _advance(field, axis, value[axis] * length, x)


cdef inline void _step(const Field *field, double *x) noexcept nogil:
    if field.ndim == 2:
        _step_plane(field, x)
    else:
        _step_volume(field, x)


cdef inline void _find_place(const Py_ssize_t *shape, Py_ssize_t pixel, Py_ssize_t *place) noexcept nogil:
    # Coordinates of a flat index; 32-bit division where that is enough, as it is three times as fast.
    cdef Py_ssize_t row
    if pixel >> 32 == 0 and shape[2] >> 32 == 0:
        row = <unsigned int> pixel // <unsigned int> shape[2]
    else:
        row = pixel // shape[2]
    place[2] = pixel - row * shape[2]
    place[0] = row // shape[1] if shape[0] > 1 else 0
    place[1] = row - place[0] * shape[1]


cdef inline void _set_place(const Field *field, Py_ssize_t pixel, double *x) noexcept nogil:
    cdef Py_ssize_t place[3]
    _find_place(field.shape, pixel, place)
    x[0] = place[0]
    x[1] = place[1]
    x[2] = place[2]


cdef void _set_out(const Field *field, Walker *walker, Py_ssize_t pixel, Py_ssize_t point) noexcept nogil:
    cdef Py_ssize_t axis
    _set_place(field, pixel, walker.x)
    walker.t = 0
    walker.since = 0
    walker.stretch = SETTLED_STEPS
    walker.point = point
    for axis in range(3):
        walker.anchor[axis] = walker.x[axis]
        walker.total[axis] = 0.0


cdef inline bint _walk_on(const Field *field, Walker *walker) noexcept nogil:
    # One step; True once the point has settled. Its end is the mean of the places since the anchor, in `total`: the
    # middle of a swing or of a small round trip. Anchors are set ever further apart (by a quarter of the steps so far),
    # so that a round trip of any length is found.
    cdef Py_ssize_t axis
    cdef double d, distance = 0.0
    _step(field, walker.x)
    walker.t += 1
    walker.since += 1
    for axis in range(3 - field.ndim, 3):
        d = walker.x[axis] - walker.anchor[axis]
        distance += d * d
        walker.total[axis] += walker.x[axis]
    if walker.since >= SETTLED_STEPS and distance <= SETTLED_RADIUS * SETTLED_RADIUS:
        for axis in range(3):
            walker.total[axis] /= walker.since
        return True
    if walker.since == walker.stretch:
        walker.since = 0
        walker.stretch = max(SETTLED_STEPS, walker.t // 4)
        for axis in range(3):
            walker.anchor[axis] = walker.x[axis]
            walker.total[axis] = 0.0
    return False


cdef inline int _known_in_plane(const Field *field, const double *x) noexcept nogil:
    cdef Py_ssize_t r0, r1, c0, c1
    cdef double r, c
    cdef int s00, s01, s10, s11, found
    _locate(field, 1, x[1], &r0, &r, &r1)
    _locate(field, 2, x[2], &c0, &c, &c1)
    if r == 0.0:
        r1 = r0
    if c == 0.0:
        c1 = c0
    s00 = field.state[r0 * field.shape[2] + c0]
    s01 = field.state[r0 * field.shape[2] + c1]
    s10 = field.state[r1 * field.shape[2] + c0]
    s11 = field.state[r1 * field.shape[2] + c1]
    found = max(max(s00, s01), max(s10, s11))
    if ((s00 != 0) & (s00 != found)) | ((s01 != 0) & (s01 != found)):
        return 0
    if ((s10 != 0) & (s10 != found)) | ((s11 != 0) & (s11 != found)):
        return 0
    return max(found, 0)


cdef int _known_in_volume(const Field *field, const double *x) noexcept nogil:
    cdef Py_ssize_t axis, i0, i1, i2, row
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double part[3]
    cdef int state, found = 0
    for axis in range(3):
        _locate(field, axis, x[axis], &low[axis], &part[axis], &high[axis])
        if part[axis] == 0.0:
            high[axis] = low[axis]
    for i0 in range(low[0], high[0] + 1):
        for i1 in range(low[1], high[1] + 1):
            row = (i0 * field.shape[1] + i1) * field.shape[2]
            for i2 in range(low[2], high[2] + 1):
                state = field.state[row + i2]
                if state < 0 or (state > 0 and found > 0 and state != found):
                    return 0
                if state > 0:
                    found = state
    return found


cdef inline int _known_at(const Field *field, const double *x) noexcept nogil:
    # The object that every foreground pixel around x is known to lead to; 0 where they differ or one is unknown.
    return _known_in_plane(field, x) if field.ndim == 2 else _known_in_volume(field, x)


def follow(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] pixels, float[:, ::1] ends,
    int[::1] known, Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """Follow the flows from the pixels ``start .. stop - 1`` until they settle and write where into ``ends``.

    ``state`` is 0 in the background, ``pixels`` holds flat indices, ``ends`` one row per axis of three. If ``known``
    has room, a point also stops where all foreground pixels around it have the same positive ``state``, which is
    written into ``known`` (0 for points that settle). Returns 0, or -2 where it was interrupted.
    """
    cdef Py_ssize_t k, axis, n = 0
    cdef Py_ssize_t following = start
    cdef int found
    cdef bint done
    cdef bint look = known.shape[0] > 0
    cdef const volatile_int *interrupted = &interrupt[0]
    cdef Field field
    cdef Walker walkers[BLOCK]
    cdef Walker *walker
    if stop <= start:
        return 0
    _set_field(&field, flows, state)
    with nogil:
        while interrupted[0] == 0 and (following < stop or n > 0):
            while n < BLOCK and following < stop:
                _set_out(&field, &walkers[n], pixels[following], following)
                following += 1
                n += 1
            k = 0
            while k < n:
                walker = &walkers[k]
                done = _walk_on(&field, walker)
                found = _known_at(&field, walker.x) if look else 0
                if done or found:
                    for axis in range(3):
                        ends[axis, walker.point] = <float> walker.total[axis]
                    if look:
                        known[walker.point] = found
                    n -= 1
                    if k < n:
                        walkers[k] = walkers[n]
                else:
                    k += 1
    return STOPPED if interrupted[0] else 0


def follow_steps(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] pixels, Py_ssize_t n_iter,
    float[:, ::1] ends, Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """The same with exactly ``n_iter`` steps for every point."""
    cdef Py_ssize_t k, t, axis, n
    cdef const volatile_int *interrupted = &interrupt[0]
    cdef Field field
    cdef double x[BLOCK][3]
    if stop <= start:
        return 0
    _set_field(&field, flows, state)
    with nogil:
        while start < stop and interrupted[0] == 0:
            n = min(<Py_ssize_t> BLOCK, stop - start)
            for k in range(n):
                _set_place(&field, pixels[start + k], x[k])
            for t in range(n_iter):
                if interrupted[0]:
                    break
                for k in range(n):
                    _step(&field, x[k])
            for k in range(n):
                for axis in range(3):
                    ends[axis, start + k] = <float> x[k][axis]
            start += n
    return STOPPED if interrupted[0] else 0
