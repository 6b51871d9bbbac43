# From heat to unit flows, and the flows of pixels that no heat has reached.

# A gradient below this (no unit) has lost its digits: no heat has arrived. Source: chosen, well above
# the least normal float64, 2.2e-308.
cdef double MIN_GRADIENT = 1e-280

# A gradient below this (no unit) cannot be squared in float64. Source: the root of the limit above.
cdef double MIN_SQUARABLE = 1e-140

# A gradient below this part of the potential is rounding, as at the center of a symmetric object. Source: some hundred
# times the rounding of float64.
cdef double MIN_RELATIVE_GRADIENT = 1e-13

# Steps from the center to a pixel that is not in the object.
cdef enum:
    NOT_REACHED = -1


cdef inline void _write_flow(
    const Job *job, Py_ssize_t first, Py_ssize_t pixel, const double *g, double *error
) noexcept nogil:
    # Write the flow of one pixel of the image, or add its squared distance from the reference to the error.
    cdef Py_ssize_t axis
    cdef double d
    for axis in range(first, 3):
        if job.flows != NULL:
            job.flows[(axis - first) * job.plane + pixel] = <float> g[axis]
        else:
            d = <float> g[axis] - job.reference[(axis - first) * job.plane + pixel]
            error[0] += d * d


cdef inline bint _gradient(
    const Job *job, const Frame *frame, Py_ssize_t first, const double *potential, Py_ssize_t i, double *g
) noexcept nogil:
    # Set g to the unit gradient at one pixel; returns False if it is too small, or 0 but for rounding.
    cdef Py_ssize_t axis
    cdef double scale = 0.0, norm = 0.0
    for axis in range(first, 3):
        g[axis] = (potential[i + frame.stride[axis]] - potential[i - frame.stride[axis]]) * job.per_distance[axis]
        scale = max(scale, fabs(g[axis]))
    if scale < MIN_GRADIENT or scale < MIN_RELATIVE_GRADIENT * potential[i]:
        return False
    if scale < MIN_SQUARABLE:
        for axis in range(first, 3):
            g[axis] /= scale
    for axis in range(first, 3):
        norm += g[axis] * g[axis]
    norm = 1.0 / sqrt(norm)
    for axis in range(first, 3):
        g[axis] *= norm
    return True


cdef inline Py_ssize_t _image_index(
    const Job *job, const Frame *frame, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t i2
) noexcept nogil:
    # Flat index in the image of a pixel with the frame coordinates (i0, i1, i2).
    return (((frame.origin[0] + i0) * job.shape[1] + frame.origin[1] + i1) * job.shape[2] + frame.origin[2] + i2)


cdef inline Py_ssize_t _write_gradients(
    const Job *job, const Frame *frame, Scratch *scratch, Py_ssize_t first, double *error
) noexcept nogil:
    # Write the flows of all pixels that have a gradient; returns the number of others, without the center.
    cdef Py_ssize_t i0, i1, i2, i, row, pixel, missing = 0
    cdef double g[3]
    for i0 in range(frame.low[0], frame.high[0]):
        for i1 in range(frame.low[1], frame.high[1]):
            i = i0 * frame.stride[0] + i1 * frame.stride[1]
            pixel = _image_index(job, frame, i0, i1, 0)
            for i2 in range(frame.low[2], frame.high[2]):
                if scratch.inside[i + i2] == OUTSIDE:
                    continue
                if _gradient(job, frame, first, scratch.heat, i + i2, g):
                    scratch.inside[i + i2] = FLOW_WRITTEN
                    _write_flow(job, first, pixel + i2, g, error)
                else:
                    missing += i + i2 != frame.center
    return missing


cdef double _write_flows(const Job *job, Frame *frame, Scratch *scratch) noexcept nogil:
    # Write the unit gradient of log(1 + heat), with 0 outside the object; returns the sum of squared differences from
    # the reference.
    cdef Py_ssize_t i, missing, pixel
    cdef double error = 0.0
    cdef double g[3]
    for i in range(frame.n):
        if scratch.inside[i]:
            scratch.heat[i] = log1p(scratch.heat[i])
    if frame.first_axis == 1:
        missing = _write_gradients(job, frame, scratch, 1, &error)
    else:
        missing = _write_gradients(job, frame, scratch, 0, &error)
    if missing > 0:
        _write_path_directions(job, frame, scratch, &error)
    if scratch.inside[frame.center] != FLOW_WRITTEN:
        g[0] = g[1] = g[2] = 0.0
        pixel = _image_index(job, frame, frame.center_at[0], frame.center_at[1], frame.center_at[2])
        _write_flow(job, frame.first_axis, pixel, g, &error)
    return error


cdef Py_ssize_t _list_offsets(Frame *frame, Py_ssize_t *offset, int[26][3] step) noexcept nogil:
    # List the flat offsets of the 3 ** ndim - 1 neighbors and the steps to them along each axis, in raster order;
    # returns their number.
    cdef int d0, d1, d2
    cdef int reach = 1 if frame.first_axis == 0 else 0
    cdef Py_ssize_t k = 0
    for d0 in range(-reach, reach + 1):
        for d1 in range(-1, 2):
            for d2 in range(-1, 2):
                if d0 == 0 and d1 == 0 and d2 == 0:
                    continue
                offset[k] = d0 * frame.stride[0] + d1 * frame.stride[1] + d2
                step[k][0] = d0
                step[k][1] = d1
                step[k][2] = d2
                k += 1
    return k


cdef void _count_steps(
    Frame *frame, Scratch *scratch, const Py_ssize_t *offset, Py_ssize_t n_neighbors
) noexcept nogil:
    # Count the least number of steps inside the object from its center to every pixel, breadth first;
    # NOT_REACHED outside. The heat is no longer needed: its arrays hold the steps and the queue.
    cdef Py_ssize_t i, j, k, head = 0, tail = 1
    cdef Py_ssize_t *queue = <Py_ssize_t *> scratch.other
    cdef Py_ssize_t *steps = <Py_ssize_t *> scratch.heat
    for i in range(frame.size):
        steps[i] = NOT_REACHED
    queue[0] = frame.center
    steps[frame.center] = 0
    while head < tail:
        i = queue[head]
        head += 1
        for k in range(n_neighbors):
            j = i + offset[k]
            if scratch.inside[j] != OUTSIDE and steps[j] == NOT_REACHED:
                steps[j] = steps[i] + 1
                queue[tail] = j
                tail += 1


cdef void _path_direction(
    const Py_ssize_t *steps, Py_ssize_t i, const Py_ssize_t *offset, int[26][3] step, Py_ssize_t n_neighbors, double *g
) noexcept nogil:
    # Set g to the mean direction of the neighbors that are one step nearer to the center, or if these cancel to that of
    # the first. Directions are added as integers by distance, 1, sqrt(2) or sqrt(3), so that their order has no effect.
    cdef Py_ssize_t k, axis, first = -1
    cdef int group  # of distance: number of axes that differ, less 1
    cdef int directions[3][3]
    cdef double norm = 0.0
    for group in range(3):
        for axis in range(3):
            directions[group][axis] = 0
    for k in range(n_neighbors):
        if steps[i + offset[k]] == steps[i] - 1:
            first = k if first < 0 else first
            group = (step[k][0] != 0) + (step[k][1] != 0) + (step[k][2] != 0) - 1
            for axis in range(3):
                directions[group][axis] += step[k][axis]
    for axis in range(3):
        g[axis] = directions[0][axis] + directions[1][axis] / sqrt(2.0) + directions[2][axis] / sqrt(3.0)
        norm += g[axis] * g[axis]
    if norm == 0.0:  # sums of integers times the roots of 1, 2 and 3: exactly 0 or not small
        for axis in range(3):
            g[axis] = step[first][axis]
            norm += g[axis] * g[axis]
    norm = sqrt(norm)
    for axis in range(3):
        g[axis] /= norm


cdef void _write_path_directions(const Job *job, Frame *frame, Scratch *scratch, double *error) noexcept nogil:
    # Write the flows of pixels without a gradient: directions of the shortest paths to the center inside the object.
    cdef Py_ssize_t i, j, head, n_neighbors
    cdef Py_ssize_t offset[26]
    cdef int step[26][3]
    cdef double g[3]
    cdef const Py_ssize_t *queue = <Py_ssize_t *> scratch.other
    n_neighbors = _list_offsets(frame, offset, step)
    _count_steps(frame, scratch, offset, n_neighbors)
    for head in range(1, frame.n_pixels):
        i = queue[head]
        if scratch.inside[i] == FLOW_WRITTEN:
            continue
        _path_direction(<Py_ssize_t *> scratch.heat, i, offset, step, n_neighbors, g)
        j = _image_index(job, frame, i // frame.stride[0], i % frame.stride[0] // frame.stride[1], i % frame.stride[1])
        _write_flow(job, frame.first_axis, j, g, error)
