# Following flows: Euler steps along the flow, interpolated linearly between pixel centers, until a point has settled.
# Points take turns, a block of them at a time, so that no step waits for the one before.

# A point has settled when, at least SETTLED_STEPS steps after an anchor, it is within SETTLED_RADIUS pixels of it: at a
# sink unit steps swing to and fro, they do not stop. Source of the radius: the length of a step. Source of the steps:
# chosen, longer than one swing; flows shorter than radius / steps settle at once.
cdef Py_ssize_t SETTLED_STEPS = 16
cdef double SETTLED_RADIUS = 1.0

# Squared length of the longest step, in pixels. Source: unit vectors of float32 may be this much longer than 1.
cdef double MAX_SQUARED_STEP = 1.000001

# Points that take turns. Source: chosen; that many steps overlap, and the points stay in the first cache.
cdef enum:
    BLOCK = 16


# What the image `state` holds for a pixel. A positive number is that of the pixel's basin.
cdef enum PixelState:
    ON_PATH = -2     # on the path that is being numbered
    UNASSIGNED = -1  # foreground that belongs to no basin
    BACKGROUND = 0   # its flow counts as 0


cdef struct Field:
    const float *flow[3]    # per axis; NULL where it does not count
    int *state              # a PixelState, or the number of the basin
    Py_ssize_t shape[3]
    Py_ssize_t ndim
    Py_ssize_t origin       # flat index of the pixel that positions count from: it may lie before the image
    double first[3]         # position of the image's first pixels
    double last[3]          # and of its last ones


cdef struct Walker:
    double x[3]             # position, in pixels
    double anchor[3]
    double total[3]         # sum of the coordinates since the anchor
    Py_ssize_t t            # steps since the start
    Py_ssize_t since        # steps since the anchor
    Py_ssize_t interval     # steps from the anchor to the next one
    Py_ssize_t point        # column of `endpoints`


cdef void _set_field(Field *field, const float[:, :, :, ::1] flows, int[:, :, ::1] state) noexcept nogil:
    cdef Py_ssize_t axis
    field.ndim = flows.shape[0]
    field.origin = 0
    field.state = &state[0, 0, 0]
    for axis in range(3):
        field.shape[axis] = state.shape[axis]
        field.first[axis] = 0.0
        field.last[axis] = field.shape[axis] - 1
        field.flow[axis] = NULL
        if axis >= 3 - field.ndim:
            field.flow[axis] = &flows[axis - 3 + field.ndim, 0, 0, 0]


cdef inline double _bracket(
    const Field *field, Py_ssize_t axis, double x, Py_ssize_t *low, Py_ssize_t *high
) noexcept nogil:
    # Set `low` and `high` to the pixels before and after x along one axis, counted from the origin. Return how far x is
    # from the first. x lies inside the image.
    low[0] = <Py_ssize_t> x
    high[0] = low[0] + (x < field.last[axis])
    return x - low[0]


cdef inline void _move(const Field *field, Py_ssize_t axis, double value, double *x) noexcept nogil:
    x[axis] = min(max(x[axis] + value, field.first[axis]), field.last[axis])


cdef inline void _step_plane(const Field *field, double *x) noexcept nogil:
    cdef Py_ssize_t r0, r1, c0, c1, n = field.shape[2]
    cdef double r = _bracket(field, 1, x[1], &r0, &r1), c = _bracket(field, 2, x[2], &c0, &c1)
    cdef double w00, w01, w10, w11, v1, v2, length
    r0 = r0 * n + field.origin
    r1 = r1 * n + field.origin
    w11 = r * c
    w10 = r - w11
    w01 = c - w11
    w00 = 1.0 - r - w01
    if ((field.state[r0 + c0] == BACKGROUND) | (field.state[r0 + c1] == BACKGROUND)) | (
            (field.state[r1 + c0] == BACKGROUND) | (field.state[r1 + c1] == BACKGROUND)):
        w00 = w00 if field.state[r0 + c0] != BACKGROUND else 0.0
        w01 = w01 if field.state[r0 + c1] != BACKGROUND else 0.0
        w10 = w10 if field.state[r1 + c0] != BACKGROUND else 0.0
        w11 = w11 if field.state[r1 + c1] != BACKGROUND else 0.0
    v1 = ((w00 * field.flow[1][r0 + c0] + w01 * field.flow[1][r0 + c1])
          + (w10 * field.flow[1][r1 + c0] + w11 * field.flow[1][r1 + c1]))
    v2 = ((w00 * field.flow[2][r0 + c0] + w01 * field.flow[2][r0 + c1])
          + (w10 * field.flow[2][r1 + c0] + w11 * field.flow[2][r1 + c1]))
    length = v1 * v1 + v2 * v2
    if length > MAX_SQUARED_STEP:  # never further than one pixel, however long the flow is
        length = 1.0 / sqrt(length)
        v1 *= length
        v2 *= length
    _move(field, 1, v1, x)
    _move(field, 2, v2, x)


cdef inline void _step_volume(const Field *field, double *x) noexcept nogil:
    cdef Py_ssize_t axis, corner, i
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double fraction[3]
    cdef double value[3]
    cdef double w, length = 0.0
    for axis in range(3):
        fraction[axis] = _bracket(field, axis, x[axis], &low[axis], &high[axis])
        value[axis] = 0.0
    for corner in range(8):
        i = high[0] if corner & 4 else low[0]
        i = i * field.shape[1] + (high[1] if corner & 2 else low[1])
        i = i * field.shape[2] + (high[2] if corner & 1 else low[2]) + field.origin
        w = fraction[0] if corner & 4 else 1.0 - fraction[0]
        w *= fraction[1] if corner & 2 else 1.0 - fraction[1]
        w *= fraction[2] if corner & 1 else 1.0 - fraction[2]
        w *= field.state[i] != BACKGROUND
        for axis in range(3):
            value[axis] += w * field.flow[axis][i]
    for axis in range(3):
        length += value[axis] * value[axis]
    length = 1.0 / sqrt(length) if length > MAX_SQUARED_STEP else 1.0
    for axis in range(3):
        _move(field, axis, value[axis] * length, x)


cdef inline void _step(const Field *field, double *x) noexcept nogil:
    if field.ndim == 2:
        _step_plane(field, x)
    else:
        _step_volume(field, x)


cdef inline void _unravel_index(const Py_ssize_t *shape, Py_ssize_t pixel, Py_ssize_t *at) noexcept nogil:
    # Coordinates of a flat index; 32-bit division where that is enough, as it is three times as fast.
    cdef Py_ssize_t row
    if pixel >> 32 == 0 and shape[2] >> 32 == 0:
        row = <unsigned int> pixel // <unsigned int> shape[2]
    else:
        row = pixel // shape[2]
    at[2] = pixel - row * shape[2]
    at[0] = row // shape[1] if shape[0] > 1 else 0
    at[1] = row - at[0] * shape[1]


cdef inline void _pixel_center(const Field *field, Py_ssize_t pixel, double *x) noexcept nogil:
    cdef Py_ssize_t at[3]
    _unravel_index(field.shape, pixel, at)
    x[0] = at[0]
    x[1] = at[1]
    x[2] = at[2]


cdef void _start_walker(const Field *field, Walker *walker, Py_ssize_t pixel, Py_ssize_t point) noexcept nogil:
    cdef Py_ssize_t axis
    _pixel_center(field, pixel, walker.x)
    walker.t = 0
    walker.since = 0
    walker.interval = SETTLED_STEPS
    walker.point = point
    for axis in range(3):
        walker.anchor[axis] = walker.x[axis]
        walker.total[axis] = 0.0


cdef inline bint _advance_walker(const Field *field, Walker *walker) noexcept nogil:
    # Take one step; returns whether the point has settled. Then `total` is its endpoint: the mean of its positions
    # since the anchor, the middle of a swing or of a small round trip. Anchors are set ever further apart, by a quarter
    # of the steps so far, so that a round trip of any length ends.
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
    if walker.since == walker.interval:
        walker.since = 0
        walker.interval = max(SETTLED_STEPS, walker.t // 4)
        for axis in range(3):
            walker.anchor[axis] = walker.x[axis]
            walker.total[axis] = 0.0
    return False


def follow_until_settled(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] pixels, float[:, ::1] endpoints,
    Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """Follow the flows from the pixels ``start .. stop - 1`` until they settle; write where into ``endpoints``.

    ``pixels`` holds flat indices, ``endpoints`` one row for each of three axes. Returns FINISHED or INTERRUPTED.
    """
    cdef Py_ssize_t k, axis, n = 0
    cdef Py_ssize_t next_point = start
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Field field
    cdef Walker walkers[BLOCK]
    cdef Walker *walker
    if stop <= start:
        return FINISHED
    _set_field(&field, flows, state)
    with nogil:
        while interrupt_flag[0] == 0 and (next_point < stop or n > 0):
            while n < BLOCK and next_point < stop:
                _start_walker(&field, &walkers[n], pixels[next_point], next_point)
                next_point += 1
                n += 1
            k = 0
            while k < n:
                walker = &walkers[k]
                if _advance_walker(&field, walker):
                    for axis in range(3):
                        endpoints[axis, walker.point] = <float> walker.total[axis]
                    n -= 1
                    if k < n:
                        walkers[k] = walkers[n]
                else:
                    k += 1
    return INTERRUPTED if interrupt_flag[0] else FINISHED


def follow_steps(
    const float[:, :, :, ::1] flows, int[:, :, ::1] state, const Py_ssize_t[::1] pixels, Py_ssize_t n_iter,
    float[:, ::1] endpoints, Py_ssize_t start, Py_ssize_t stop, const int[::1] interrupt
):
    """Follow the flows for exactly ``n_iter`` steps; otherwise as `follow_until_settled`."""
    cdef Py_ssize_t k, t, axis, n
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Field field
    cdef double x[BLOCK][3]
    if stop <= start:
        return FINISHED
    _set_field(&field, flows, state)
    with nogil:
        while start < stop and interrupt_flag[0] == 0:
            n = min(<Py_ssize_t> BLOCK, stop - start)
            for k in range(n):
                _pixel_center(&field, pixels[start + k], x[k])
            for t in range(n_iter):
                if interrupt_flag[0]:
                    break
                for k in range(n):
                    _step(&field, x[k])
            for k in range(n):
                for axis in range(3):
                    endpoints[axis, start + k] = <float> x[k][axis]
            start += n
    return INTERRUPTED if interrupt_flag[0] else FINISHED
