# Borders between basins: how far the flows on the two sides of each face agree, and how far they converge.
# Sums are whole numbers, so they do not depend on the order in which pixels or blocks of an image are visited. They are
# kept in a hash table with open addressing, so memory follows the number of pairs and not that of faces.

# Source: chosen. The error of one value, 3e-8, is below that of float32, and the sums over the faces and pixels of an
# image of 2 ** 36 pixels fit into 64 bits.
cdef double UNITS_PER_ONE = 16777216.0

# Shorter flows count as this long, in pixels per step, but those of 0: so flows of any scale agree or not. Source: its
# square is 256 units, so that rounding to units has little weight.
cdef double SHORTEST_FLOW = 0.00390625

# Factor of the hash. Source: 2 ** 64 / golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
cdef unsigned long long HASH_FACTOR = 0x9E3779B97F4A7C15

# What a slot has sums of.
cdef enum:
    N_FACES = 0
    AGREEMENT = 1
    CONVERGENCE = 2
    N_SUMS = 3


# A slot of the table holds the two labels of a pair, the smaller one first, and its sums; it is free if it has no face.
cdef struct Table:
    int *pairs              # 2 per slot
    long long *sums         # N_SUMS per slot
    Py_ssize_t n_slots      # a power of 2
    Py_ssize_t count        # slots in use


cdef void _set_table(Table *table, int[:, ::1] pairs, long long[:, ::1] sums, Py_ssize_t count) noexcept nogil:
    table.pairs = &pairs[0, 0]
    table.sums = &sums[0, 0]
    table.n_slots = pairs.shape[0]
    table.count = count


cdef inline long long *_find_sums(Table *table, int a, int b) noexcept nogil:
    # The sums of a pair, in a new slot if it has none. At least one slot must be free.
    cdef int first = min(a, b), second = max(a, b)
    cdef unsigned long long key = (<unsigned long long> first << 32 | <unsigned long long> second) * HASH_FACTOR
    cdef Py_ssize_t slot = <Py_ssize_t> (key >> 32) & (table.n_slots - 1)
    while table.sums[N_SUMS * slot + N_FACES] != 0:
        if table.pairs[2 * slot] == first and table.pairs[2 * slot + 1] == second:
            return &table.sums[N_SUMS * slot]
        slot = (slot + 1) & (table.n_slots - 1)
    table.pairs[2 * slot] = first
    table.pairs[2 * slot + 1] = second
    table.count += 1
    return &table.sums[N_SUMS * slot]


cdef inline double _square(const Field *field, Py_ssize_t i) noexcept nogil:
    # Squared length of the flow at a pixel.
    cdef Py_ssize_t axis
    cdef double square = 0.0
    for axis in range(3 - field.ndim, 3):
        square += <double> field.flow[axis][i] * field.flow[axis][i]
    return square


cdef inline double _scale(double length) noexcept nogil:
    # What a flow is multiplied by to be SHORTEST_FLOW to 1 long.
    if length > 1.0:
        return 1.0 / length
    return SHORTEST_FLOW / length if 0.0 < length < SHORTEST_FLOW else 1.0


cdef inline double _scaled_square(double square) noexcept nogil:
    # Squared length of a flow of SHORTEST_FLOW to 1, or 0.
    if 0.0 < square < SHORTEST_FLOW * SHORTEST_FLOW:
        return SHORTEST_FLOW * SHORTEST_FLOW
    return min(square, 1.0)


cdef inline long long _in_units(double value) noexcept nogil:
    # Round to a whole number of units. Values are above -4, so that what is cut off here is positive.
    return <long long> (value * UNITS_PER_ONE + (4.0 * UNITS_PER_ONE + 0.5)) - 4 * <long long> UNITS_PER_ONE


cdef void _add_face(Table *table, const Field *field, Py_ssize_t axis, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    # Add the face across `axis` between the pixels i and j, before and after it, to the sums of their labels.
    cdef Py_ssize_t k
    cdef double dot = 0.0, before = sqrt(_square(field, i)), after = sqrt(_square(field, j))
    cdef long long *sums = _find_sums(table, field.state[i], field.state[j])
    for k in range(3 - field.ndim, 3):
        dot += <double> field.flow[k][i] * field.flow[k][j]
    sums[N_FACES] += 1
    sums[AGREEMENT] += _in_units(dot * _scale(before) * _scale(after))
    dot = field.flow[axis][i] / before if before > 0.0 else 0.0
    sums[CONVERGENCE] += _in_units(dot - (field.flow[axis][j] / after if after > 0.0 else 0.0))


cdef inline bint _is_border(const int *state, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    return state[j] != state[i] and state[j] != BACKGROUND


def sum_borders(
    const float[:, :, :, ::1] flows, int[:, :, ::1] labels, int[:, ::1] pairs, long long[:, ::1] sums, Py_ssize_t count,
    long long[:, ::1] totals, Py_ssize_t start
):
    """Sum over the faces between pixels of different labels, and over the pixels of each label, from ``start`` on.

    ``labels`` are 0 or more. ``pairs`` and ``sums`` are a table of borders, of which ``count`` slots are in use. A slot
    of ``sums`` becomes the number of faces, the sum of the dot products of the flows on their two sides, and the sum of
    how much these point at each other: the component along the axis of the direction before the face, less that after
    it. ``totals`` becomes the sum of the squared lengths of flows and the number of pixels, per label. All but numbers
    are in units of 1 / UNITS_PER_ONE. Flows longer than 1 count as 1 long, those shorter than SHORTEST_FLOW as that.

    Returns the pixel to continue from, which is that after the last one unless half the table is in use, and the number
    of slots in use.
    """
    cdef Py_ssize_t i, row, row_stop, n = labels.shape[2], plane = labels.shape[1] * labels.shape[2]
    cdef Py_ssize_t size = labels.shape[0] * plane
    cdef bint has_next_row, has_next_plane
    cdef Field field
    cdef Table table
    _set_field(&field, flows, labels)
    _set_table(&table, pairs, sums, count)
    with nogil:
        while start < size and table.count + 3 <= table.n_slots // 2:
            row = start // n
            row_stop = (row + 1) * n
            has_next_row = row % labels.shape[1] + 1 < labels.shape[1]
            has_next_plane = start + plane < size
            i = _skip_zeros(<const unsigned int *> field.state, start, row_stop)
            while i < row_stop and table.count + 3 <= table.n_slots // 2:
                totals[field.state[i], 0] += _in_units(_scaled_square(_square(&field, i)))
                totals[field.state[i], 1] += 1
                if i + 1 < row_stop and _is_border(field.state, i, i + 1):
                    _add_face(&table, &field, 2, i, i + 1)
                if has_next_row and _is_border(field.state, i, i + n):
                    _add_face(&table, &field, 1, i, i + n)
                if has_next_plane and _is_border(field.state, i, i + plane):
                    _add_face(&table, &field, 0, i, i + plane)
                i = _skip_zeros(<const unsigned int *> field.state, i + 1, row_stop)
            start = i
    return start, table.count


def add_borders(
    const int[:, ::1] pairs, const long long[:, ::1] sums, int[:, ::1] table_pairs, long long[:, ::1] table_sums,
    Py_ssize_t count
):
    """Add the borders of one table to another one, of which ``count`` slots are in use; return the new number.

    The other one must have more free slots than the first has slots in use.
    """
    cdef Py_ssize_t i, k
    cdef long long *target
    cdef Table table
    _set_table(&table, table_pairs, table_sums, count)
    with nogil:
        for i in range(pairs.shape[0]):
            if sums[i, N_FACES] == 0:
                continue
            target = _find_sums(&table, pairs[i, 0], pairs[i, 1])
            for k in range(N_SUMS):
                target[k] += sums[i, k]
    return table.count
