# Borders between basins: how far the flows on the two sides of each face agree, and how far they converge.
# Sums are whole numbers, so they do not depend on the order in which pixels or blocks of an image are visited.

# Source: chosen. The error of one value, 3e-8, is below that of float32, and an image of 2 ** 38 pixels does not
# overflow 64 bits.
cdef double UNITS_PER_ONE = 16777216.0


cdef inline double _square(const Field *field, Py_ssize_t i) noexcept nogil:
    # Squared length of the flow at a pixel.
    cdef Py_ssize_t axis
    cdef double square = 0.0
    for axis in range(3 - field.ndim, 3):
        square += <double> field.flow[axis][i] * field.flow[axis][i]
    return square


cdef inline long long _in_units(double value) noexcept nogil:
    # Round to a whole number of units. Values are -2 or more, so that what is cut off here is positive.
    return <long long> (value * UNITS_PER_ONE + (4.0 * UNITS_PER_ONE + 0.5)) - 4 * <long long> UNITS_PER_ONE


cdef void _compare_sides(
    const Field *field, Py_ssize_t axis, Py_ssize_t i, Py_ssize_t j, long long *agreement, long long *convergence
) noexcept nogil:
    # Agreement and convergence of the flows at the pixels i and j, before and after a face across `axis`.
    cdef Py_ssize_t k
    cdef double dot = 0.0, before = sqrt(_square(field, i)), after = sqrt(_square(field, j))
    for k in range(3 - field.ndim, 3):
        dot += <double> field.flow[k][i] * field.flow[k][j]
    agreement[0] = _in_units(dot / (max(before, 1.0) * max(after, 1.0)))
    dot = field.flow[axis][i] / before if before > 0.0 else 0.0
    convergence[0] = _in_units(dot - (field.flow[axis][j] / after if after > 0.0 else 0.0))


def list_faces(
    const float[:, :, :, ::1] flows, int[:, :, ::1] labels, int[:, ::1] pairs, long long[::1] agreement,
    long long[::1] convergence, long long[::1] squares, long long[::1] sizes
):
    """List the faces between pixels of different labels and return their number; the first fill the arrays.

    ``pairs[:, k]`` becomes the labels before and after face k, and ``agreement[k]`` the dot product of the flows on its
    two sides. ``convergence[k]`` becomes the component along the axis of the flow's direction before the face, less
    that after it: positive where flows point at each other. The squared length of every pixel's flow is added to
    ``squares``, and 1 to ``sizes``, at the pixel's label. All but sizes are in units of 1 / UNITS_PER_ONE, and flows
    longer than 1 count as 1 long.
    """
    cdef Py_ssize_t axis, i, j, count = 0, n = labels.shape[2]
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
                        squares[field.state[i]] += _in_units(min(_square(&field, i), 1.0))
                        sizes[field.state[i]] += 1
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
