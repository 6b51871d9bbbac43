# cython: language_level=3, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled kernels: heat diffusion inside each object, flow following, grouping of end points.

No checks and no Python objects: the callers in ``_flows.py`` and ``_dynamics.py`` see to the arguments.
Images always have three axes here; a 2-D image is one plane, and ``ndim`` says how many of the last axes
count. Every kernel works on a range ``start..stop`` of objects or points, touches nothing that another range
touches, and releases the GIL, so that ranges may run in parallel.
"""
from libc.math cimport fabs, floor, log1p, sqrt
from libc.stdlib cimport calloc, free, malloc

# Below this heat (no unit; float64 ends at 2.2e-308) a gradient has lost its digits: the heat "has not arrived".
cdef double NO_HEAT = 1e-280

# A point has settled when it stays within SETTLED_RADIUS pixels of an earlier place for SETTLED_STEPS steps: where
# flows meet, unit steps swing around the meeting place, they do not stop.
cdef Py_ssize_t SETTLED_STEPS = 16
cdef double SETTLED_RADIUS = 1.0

# Pixels between two end points of the same object, at most (Chebyshev distance between their nearest pixels).
cdef Py_ssize_t JOIN_RADIUS = 2


cdef struct Frame:
    # One object's box with a rim of one pixel around it, as a flat array.
    Py_ssize_t origin[3]    # image coordinates of the frame's first pixel; the rim may lie outside the image
    Py_ssize_t size[3]      # pixels per axis, rim included
    Py_ssize_t stride[3]    # flat distance between neighbours along each axis
    Py_ssize_t n            # pixels in all
    Py_ssize_t first        # first axis that counts: 3 - ndim


cdef struct Scratch:
    double *inside          # 1 on the object, 0 elsewhere
    double *heat
    double *sum_a
    double *sum_b
    Py_ssize_t *queue
    int *steps              # geodesic steps from the centre, -1 = not reached
    Py_ssize_t *histogram


cdef void _set_frame(Frame *frame, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, Py_ssize_t ndim) noexcept nogil:
    cdef Py_ssize_t axis, rim
    frame.first = 3 - ndim
    frame.n = 1
    for axis in range(2, -1, -1):
        rim = 1 if axis >= frame.first else 0
        frame.origin[axis] = boxes[k, axis] - rim
        frame.size[axis] = boxes[k, 3 + axis] - boxes[k, axis] + 2 * rim
        frame.stride[axis] = frame.n
        frame.n *= frame.size[axis]


cdef void _free_scratch(Scratch *scratch) noexcept nogil:
    free(scratch.inside)
    free(scratch.heat)
    free(scratch.sum_a)
    free(scratch.sum_b)
    free(scratch.queue)
    free(scratch.steps)
    free(scratch.histogram)


cdef int _make_scratch(Scratch *scratch, Frame *frame) noexcept nogil:
    # 0, or -1 where there is no memory (then nothing is left to free).
    cdef size_t n = frame.n
    cdef size_t longest = max(frame.size[0], max(frame.size[1], frame.size[2]))
    scratch.inside = <double *> calloc(n, sizeof(double))
    scratch.heat = <double *> calloc(n, sizeof(double))
    scratch.sum_a = <double *> calloc(n, sizeof(double))
    scratch.sum_b = <double *> calloc(n, sizeof(double))
    scratch.queue = <Py_ssize_t *> malloc(n * sizeof(Py_ssize_t))
    scratch.steps = <int *> malloc(n * sizeof(int))
    scratch.histogram = <Py_ssize_t *> malloc(longest * sizeof(Py_ssize_t))
    if (scratch.inside == NULL or scratch.heat == NULL or scratch.sum_a == NULL or scratch.sum_b == NULL
            or scratch.queue == NULL or scratch.steps == NULL or scratch.histogram == NULL):
        _free_scratch(scratch)
        return -1
    return 0


cdef Py_ssize_t _fill_inside(
    const int[:, :, ::1] pieces, int label, Frame *frame, double *inside
) noexcept nogil:
    # Mark the object's pixels; return how many there are.
    cdef Py_ssize_t i0, i1, i2, p0, p1, p2, i = 0, count = 0
    for i0 in range(frame.size[0]):
        p0 = frame.origin[0] + i0
        for i1 in range(frame.size[1]):
            p1 = frame.origin[1] + i1
            for i2 in range(frame.size[2]):
                p2 = frame.origin[2] + i2
                if (0 <= p0 < pieces.shape[0] and 0 <= p1 < pieces.shape[1] and 0 <= p2 < pieces.shape[2]
                        and pieces[p0, p1, p2] == label):
                    inside[i] = 1.0
                    count += 1
                i += 1
    return count


cdef double _median_coordinate(
    Frame *frame, const double *inside, Py_ssize_t axis, Py_ssize_t count, Py_ssize_t *histogram
) noexcept nogil:
    # Median of the object's coordinates along one axis; the mean of the two middle ones where count is even.
    cdef Py_ssize_t i, low = -1, seen = 0
    for i in range(frame.size[axis]):
        histogram[i] = 0
    for i in range(frame.n):
        if inside[i] != 0.0:
            histogram[(i // frame.stride[axis]) % frame.size[axis]] += 1
    for i in range(frame.size[axis]):
        seen += histogram[i]
        if low < 0 and seen > (count - 1) // 2:
            low = i
        if seen > count // 2:
            return 0.5 * (low + i)
    return 0.0


cdef Py_ssize_t _find_centre(
    Frame *frame, const double *inside, Py_ssize_t count, const double[::1] spacing, Py_ssize_t *histogram
) noexcept nogil:
    # The object's pixel nearest to the median of its coordinates; ties: first in raster order.
    cdef Py_ssize_t i, axis, best = -1
    cdef double distance, d, best_distance = 0.0
    cdef double median[3]
    for axis in range(frame.first, 3):
        median[axis] = _median_coordinate(frame, inside, axis, count, histogram)
    for i in range(frame.n):
        if inside[i] != 0.0:
            distance = 0.0
            for axis in range(frame.first, 3):
                d = ((i // frame.stride[axis]) % frame.size[axis] - median[axis]) * spacing[axis]
                distance += d * d
            if best < 0 or distance < best_distance:
                best = i
                best_distance = distance
    return best


cdef void _spread_heat(
    Frame *frame, Scratch *scratch, Py_ssize_t centre, Py_ssize_t n_iter, const double[::1] weight
) noexcept nogil:
    # n_iter times: one unit of heat at the centre, then the box mean, one axis after the other. The rim makes flat
    # passes safe: what wraps around lands on the rim, and the last pass keeps the object's pixels only.
    cdef Py_ssize_t _t, i, axis, s
    cdef double w, v
    cdef double *source
    cdef double *target
    cdef double *inside = scratch.inside
    for _t in range(n_iter):
        scratch.heat[centre] += 1.0
        source = scratch.heat
        target = scratch.sum_a
        for axis in range(frame.first, 3):
            s = frame.stride[axis]
            w = weight[axis]
            v = 1.0 - 2.0 * w
            if axis < 2:
                for i in range(s, frame.n - s):
                    target[i] = w * (source[i - s] + source[i + s]) + v * source[i]
                source = target
                target = scratch.sum_b
            else:
                for i in range(s, frame.n - s):
                    scratch.heat[i] = inside[i] * (w * (source[i - s] + source[i + s]) + v * source[i])


cdef Py_ssize_t _write_gradient(
    Frame *frame, Scratch *scratch, Py_ssize_t centre, const double[::1] spacing, float[:, :, :, ::1] flows
) noexcept nogil:
    # Unit gradient of log(1 + heat), zero outside the object; return how many pixels apart from the centre got none.
    cdef Py_ssize_t i, axis, missing = 0
    cdef double scale, norm
    cdef double g[3]
    cdef double *potential = scratch.sum_a
    for i in range(frame.n):
        potential[i] = log1p(scratch.heat[i])
    for i in range(frame.n):
        if scratch.inside[i] == 0.0:
            continue
        scale = 0.0
        for axis in range(frame.first, 3):
            g[axis] = potential[i + frame.stride[axis]] - potential[i - frame.stride[axis]]
            g[axis] /= spacing[axis] * spacing[axis]
            scale = max(scale, fabs(g[axis]))
        if scale < NO_HEAT:
            missing += i != centre
            continue
        norm = 0.0
        for axis in range(frame.first, 3):
            g[axis] /= scale
            norm += g[axis] * g[axis]
        norm = sqrt(norm)
        for axis in range(frame.first, 3):
            g[axis] /= norm
        _set_flow(frame, i, g, flows)
    return missing


cdef void _set_flow(Frame *frame, Py_ssize_t i, double *g, float[:, :, :, ::1] flows) noexcept nogil:
    cdef Py_ssize_t axis
    cdef Py_ssize_t p[3]
    for axis in range(3):
        p[axis] = frame.origin[axis] + (i // frame.stride[axis]) % frame.size[axis]
    for axis in range(frame.first, 3):
        flows[axis - frame.first, p[0], p[1], p[2]] = <float> g[axis]


cdef bint _has_flow(Frame *frame, Py_ssize_t i, float[:, :, :, ::1] flows) noexcept nogil:
    cdef Py_ssize_t axis
    cdef Py_ssize_t p[3]
    for axis in range(3):
        p[axis] = frame.origin[axis] + (i // frame.stride[axis]) % frame.size[axis]
    for axis in range(frame.first, 3):
        if flows[axis - frame.first, p[0], p[1], p[2]] != 0.0:
            return True
    return False


cdef Py_ssize_t _list_neighbours(Frame *frame, Py_ssize_t *offset, double[26][3] direction) noexcept nogil:
    # Flat offsets and unit vectors of the 3 ** ndim - 1 neighbours, in raster order.
    cdef Py_ssize_t d0, d1, d2, k = 0
    cdef Py_ssize_t reach = 1 if frame.first == 0 else 0
    cdef double norm
    for d0 in range(-reach, reach + 1):
        for d1 in range(-1, 2):
            for d2 in range(-1, 2):
                if d0 == 0 and d1 == 0 and d2 == 0:
                    continue
                offset[k] = d0 * frame.stride[0] + d1 * frame.stride[1] + d2 * frame.stride[2]
                norm = sqrt(<double> (d0 * d0 + d1 * d1 + d2 * d2))
                direction[k][0] = d0 / norm
                direction[k][1] = d1 / norm
                direction[k][2] = d2 / norm
                k += 1
    return k


cdef void _fill_missing(
    Frame *frame, Scratch *scratch, Py_ssize_t centre, float[:, :, :, ::1] flows
) noexcept nogil:
    # Where no heat arrived (or two fronts met) walk back along the shortest way inside the object: the mean
    # direction of the neighbours that are one step nearer to the centre.
    cdef Py_ssize_t i, j, k, axis, head = 0, tail = 1, n_neighbours
    cdef Py_ssize_t offset[26]
    cdef double direction[26][3]
    cdef double g[3]
    cdef double norm
    n_neighbours = _list_neighbours(frame, offset, direction)
    for i in range(frame.n):
        scratch.steps[i] = -1
    scratch.queue[0] = centre
    scratch.steps[centre] = 0
    while head < tail:
        i = scratch.queue[head]
        head += 1
        for k in range(n_neighbours):
            j = i + offset[k]
            if scratch.inside[j] != 0.0 and scratch.steps[j] < 0:
                scratch.steps[j] = scratch.steps[i] + 1
                scratch.queue[tail] = j
                tail += 1
    for head in range(1, tail):
        i = scratch.queue[head]
        if _has_flow(frame, i, flows):
            continue
        g[0] = g[1] = g[2] = 0.0
        for k in range(n_neighbours):
            if scratch.steps[i + offset[k]] == scratch.steps[i] - 1:
                for axis in range(3):
                    g[axis] += direction[k][axis]
        norm = sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2])
        if norm < 1e-6:  # two ways of equal length in opposite directions: take the first
            for k in range(n_neighbours):
                if scratch.steps[i + offset[k]] == scratch.steps[i] - 1:
                    for axis in range(3):
                        g[axis] = direction[k][axis]
                    break
            norm = 1.0
        for axis in range(3):
            g[axis] /= norm
        _set_flow(frame, i, g, flows)


cdef int _object_flows(
    const int[:, :, ::1] pieces, int label, Frame *frame, const double[::1] spacing, const double[::1] weight,
    Py_ssize_t n_iter, float[:, :, :, ::1] flows
) noexcept nogil:
    cdef Scratch scratch
    cdef Py_ssize_t axis, count, centre
    if _make_scratch(&scratch, frame) < 0:
        return -1
    count = _fill_inside(pieces, label, frame, scratch.inside)
    centre = _find_centre(frame, scratch.inside, count, spacing, scratch.histogram)
    if n_iter < 0:
        n_iter = 0
        for axis in range(frame.first, 3):
            n_iter += 2 * (frame.size[axis] - 3)  # size less the rim = max - min + 1
    if count > 1:
        _spread_heat(frame, &scratch, centre, n_iter, weight)
        if _write_gradient(frame, &scratch, centre, spacing, flows) > 0:
            _fill_missing(frame, &scratch, centre, flows)
    _free_scratch(&scratch)
    return 0


def diffuse(
    const int[:, :, ::1] pieces, const Py_ssize_t[:, ::1] boxes, Py_ssize_t ndim, const double[::1] spacing,
    const double[::1] weight, Py_ssize_t n_iter, float[:, :, :, ::1] flows, Py_ssize_t start, Py_ssize_t stop
):
    """Write the flows of the objects ``start + 1 .. stop`` into ``flows``.

    ``pieces`` holds connected objects 1..n, ``boxes[k - 1]`` the first and the past-the-end coordinates of object
    k, ``weight`` the share of heat that goes to each neighbour along an axis, ``n_iter`` the number of
    iterations or -1 for twice the object's extent. Returns 0, or -1 where memory ran out.
    """
    cdef Py_ssize_t k
    cdef Frame frame
    cdef int status = 0
    with nogil:
        for k in range(start, stop):
            _set_frame(&frame, boxes, k, ndim)
            status = _object_flows(pieces, <int> (k + 1), &frame, spacing, weight, n_iter, flows)
            if status < 0:
                break
    return status


cdef void _sample(
    const float[:, ::1] field, const Py_ssize_t[::1] shape, Py_ssize_t ndim, const double *x, double *value
) noexcept nogil:
    # Linear interpolation of the vector field at x, which lies inside the image.
    cdef Py_ssize_t axis, corner, index
    cdef double w
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    cdef double fraction[3]
    for axis in range(ndim):
        low[axis] = <Py_ssize_t> floor(x[axis])
        fraction[axis] = x[axis] - low[axis]
        high[axis] = min(low[axis] + 1, shape[axis] - 1)
        value[axis] = 0.0
    for corner in range(1 << ndim):
        w = 1.0
        index = 0
        for axis in range(ndim):
            index *= shape[axis]
            if corner >> (ndim - 1 - axis) & 1:
                w *= fraction[axis]
                index += high[axis]
            else:
                w *= 1.0 - fraction[axis]
                index += low[axis]
        for axis in range(ndim):
            value[axis] += w * field[index, axis]


cdef void _step(
    const float[:, ::1] field, const Py_ssize_t[::1] shape, Py_ssize_t ndim, double *x
) noexcept nogil:
    # One step along the flow; never further than one pixel, however long the flow is.
    cdef Py_ssize_t axis
    cdef double length = 0.0
    cdef double value[3]
    _sample(field, shape, ndim, x, value)
    for axis in range(ndim):
        length += value[axis] * value[axis]
    if length > 1.0:
        length = sqrt(length)
        for axis in range(ndim):
            value[axis] /= length
    for axis in range(ndim):
        x[axis] = min(max(x[axis] + value[axis], 0.0), <double> (shape[axis] - 1))


cdef void _walk_until_settled(
    const float[:, ::1] field, const Py_ssize_t[::1] shape, Py_ssize_t ndim, double *x
) noexcept nogil:
    # The end is the mean of the places since the anchor: the middle of a swing or of a small round trip. Anchors are
    # set ever further apart (by a quarter of the steps so far), so that a round trip of any length is found.
    cdef Py_ssize_t axis, t = 0, since = 0, stretch = SETTLED_STEPS
    cdef double distance, d
    cdef double anchor[3]
    cdef double total[3]
    for axis in range(ndim):
        anchor[axis] = x[axis]
        total[axis] = 0.0
    while True:
        _step(field, shape, ndim, x)
        t += 1
        since += 1
        distance = 0.0
        for axis in range(ndim):
            d = x[axis] - anchor[axis]
            distance += d * d
            total[axis] += x[axis]
        if since >= SETTLED_STEPS and distance <= SETTLED_RADIUS * SETTLED_RADIUS:
            break
        if since == stretch:
            since = 0
            stretch = max(SETTLED_STEPS, t // 4)
            for axis in range(ndim):
                anchor[axis] = x[axis]
                total[axis] = 0.0
    for axis in range(ndim):
        x[axis] = total[axis] / since


def follow(
    const float[:, ::1] field, const Py_ssize_t[::1] shape, const Py_ssize_t[::1] pixels, Py_ssize_t n_iter,
    float[:, ::1] endpoints, Py_ssize_t start, Py_ssize_t stop
):
    """Follow the flows from the pixels ``start .. stop - 1`` and write where they end into ``endpoints``.

    ``field`` has one row per pixel of the image and one column per axis, ``pixels`` holds flat indices, ``n_iter`` is
    the number of unit steps or -1 for "until settled".
    """
    cdef Py_ssize_t k, _t, axis, index
    cdef Py_ssize_t ndim = shape.shape[0]
    cdef double x[3]
    with nogil:
        for k in range(start, stop):
            index = pixels[k]
            for axis in range(ndim - 1, -1, -1):
                x[axis] = index % shape[axis]
                index = index // shape[axis]
            if n_iter < 0:
                _walk_until_settled(field, shape, ndim, x)
            else:
                for _t in range(n_iter):
                    _step(field, shape, ndim, x)
            for axis in range(ndim):
                endpoints[axis, k] = <float> x[axis]


cdef Py_ssize_t _root(Py_ssize_t *parent, Py_ssize_t i) noexcept nogil:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


cdef void _join_neighbours(
    const int[:, :, ::1] node, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2, Py_ssize_t *parent
) noexcept nogil:
    cdef Py_ssize_t p0, p1, p2, a, b
    for p0 in range(max(i0 - JOIN_RADIUS, 0), min(i0 + JOIN_RADIUS + 1, node.shape[0])):
        for p1 in range(max(i1 - JOIN_RADIUS, 0), min(i1 + JOIN_RADIUS + 1, node.shape[1])):
            for p2 in range(max(i2 - JOIN_RADIUS, 0), min(i2 + JOIN_RADIUS + 1, node.shape[2])):
                if node[p0, p1, p2] > 0:
                    a = _root(parent, node[i0, i1, i2] - 1)
                    b = _root(parent, node[p0, p1, p2] - 1)
                    parent[max(a, b)] = min(a, b)


def group(const int[:, ::1] ends, int[:, :, ::1] node, int[::1] group_of):
    """Give every end point the number of its group, 0..n-1, in the order of first appearance.

    ``ends`` holds the nearest pixel of each end point, shape (3, n_points); ``node`` is an image of zeros, used
    as scratch. End points on the same pixel, or on pixels no further apart than JOIN_RADIUS, belong together.
    Returns the number of groups, or -1 where memory ran out.
    """
    cdef Py_ssize_t k, i, n_points = ends.shape[1], n_nodes = 0, n_groups = 0
    cdef Py_ssize_t *parent = <Py_ssize_t *> malloc((n_points + 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *number = <Py_ssize_t *> malloc((n_points + 1) * sizeof(Py_ssize_t))
    if parent == NULL or number == NULL:
        free(parent)
        free(number)
        return -1
    with nogil:
        for k in range(n_points):
            if node[ends[0, k], ends[1, k], ends[2, k]] == 0:
                parent[n_nodes] = n_nodes
                number[n_nodes] = -1
                n_nodes += 1
                node[ends[0, k], ends[1, k], ends[2, k]] = <int> n_nodes
                _join_neighbours(node, ends[0, k], ends[1, k], ends[2, k], parent)
        for k in range(n_points):
            i = _root(parent, node[ends[0, k], ends[1, k], ends[2, k]] - 1)
            if number[i] < 0:
                number[i] = n_groups
                n_groups += 1
            group_of[k] = <int> number[i]
    free(parent)
    free(number)
    return n_groups
