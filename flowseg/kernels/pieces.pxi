# Connected pieces of a label image: their numbers, boxes and sizes. Rows are read run by run (a run is a stretch of one
# label in one row), so that background costs next to nothing.

ctypedef fused label_t:
    unsigned char
    unsigned short
    unsigned int
    unsigned long long


cdef inline Py_ssize_t _skip_zeros(const label_t *row, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    # First index from i on that is not 0.
    cdef unsigned long long word
    cdef Py_ssize_t step = 8 // sizeof(label_t)
    while i + step <= n:
        memcpy(&word, row + i, 8)
        if word:
            break
        i += step
    while i < n and row[i] == 0:
        i += 1
    return i


cdef inline int _root(int *parent, int i) noexcept nogil:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


cdef inline int _join(int *parent, int a, int b) noexcept nogil:
    # One set of two; its root, the smaller of the two roots.
    a = _root(parent, a)
    b = _root(parent, b)
    parent[max(a, b)] = min(a, b)
    return min(a, b)


cdef int _touching(
    const int *pieces, const label_t *label_of, int *parent, label_t label, Py_ssize_t start, Py_ssize_t stop, int piece
) noexcept nogil:
    # Join the pieces of this label between start and stop of one row with `piece` (0: none yet).
    cdef Py_ssize_t i = start
    cdef int other
    while i < stop:
        other = pieces[i]
        if other and label_of[other] == label:
            piece = _root(parent, other) if piece == 0 else _join(parent, piece, other)
            while i < stop and pieces[i] == other:
                i += 1
        else:
            i += 1
    return piece


def count_runs(const label_t[:, :, ::1] labels, unsigned long long limit):
    """Number of runs of one label, 1..limit, in one row."""
    cdef Py_ssize_t i0, i1, i, n = labels.shape[2], count = 0
    cdef label_t label
    cdef const label_t *row
    with nogil:
        for i0 in range(labels.shape[0]):
            for i1 in range(labels.shape[1]):
                row = &labels[i0, i1, 0]
                i = _skip_zeros(row, 0, n)
                while i < n:
                    label = row[i]
                    while i < n and row[i] == label:
                        i += 1
                    count += label <= limit
                    i = _skip_zeros(row, i, n)
    return count


cdef int _find_piece(
    int[:, :, ::1] pieces, const label_t *label_of, int *parent, label_t label, Py_ssize_t i0, Py_ssize_t i1,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    # The piece that a run belongs to by way of the rows before it; 0: none.
    cdef Py_ssize_t p0, p1
    cdef int piece = 0
    start = max(start - 1, 0)
    stop = min(stop + 1, pieces.shape[2])
    for p0 in range(max(i0 - 1, 0), i0 + 1):
        for p1 in range(max(i1 - 1, 0), min(i1 + 2, pieces.shape[1])):
            if p0 == i0 and p1 >= i1:
                break
            piece = _touching(&pieces[p0, p1, 0], label_of, parent, label, start, stop, piece)
    return piece


def find_pieces(
    const label_t[:, :, ::1] labels, unsigned long long limit, int[:, :, ::1] pieces, int[::1] parent,
    label_t[::1] label_of
):
    """Write provisional numbers of the pieces of labels 1..limit into ``pieces``, which holds zeros or is ``labels``.

    ``parent`` and ``label_of`` have room for one entry more than there are runs; ``parent[provisional]`` becomes the
    number of the piece, 1..n in raster order of the first pixels, ``label_of[provisional]`` its label. Returns n and
    the largest provisional number.
    """
    cdef Py_ssize_t i0, i1, i, j, start, n = labels.shape[2]
    cdef int piece, last = 0, n_pieces = 0
    cdef label_t label
    cdef const label_t *row
    with nogil:
        parent[0] = 0
        label_of[0] = 0
        for i0 in range(labels.shape[0]):
            for i1 in range(labels.shape[1]):
                row = &labels[i0, i1, 0]
                i = _skip_zeros(row, 0, n)
                while i < n:
                    start = i
                    label = row[i]
                    while i < n and row[i] == label:
                        i += 1
                    if label <= limit:
                        piece = _find_piece(pieces, &label_of[0], &parent[0], label, i0, i1, start, i)
                        if piece == 0:
                            last += 1
                            parent[last] = last
                            label_of[last] = label
                            piece = last
                        for j in range(start, i):
                            pieces[i0, i1, j] = piece
                    i = _skip_zeros(row, i, n)
        for i in range(1, last + 1):  # parents come before their children
            if parent[i] == i:
                n_pieces += 1
                parent[i] = n_pieces
            else:
                parent[i] = parent[parent[i]]
    return n_pieces, last


def renumber(
    int[:, :, ::1] pieces, const int[::1] number, Py_ssize_t[:, ::1] boxes, Py_ssize_t[::1] sizes, Py_ssize_t[::1] first
):
    """Give every pixel of piece k the number ``number[k]`` (0: background), and measure what comes out.

    ``boxes[m - 1]`` becomes the first and the past-the-end coordinates of all pixels with the number m,
    ``sizes[m - 1]`` how many they are (it holds zeros before), ``first[m - 1]`` the flat index of the first one.
    """
    cdef Py_ssize_t i0, i1, i, j, k, start, n = pieces.shape[2]
    cdef int piece, new
    cdef int *row
    with nogil:
        for i0 in range(pieces.shape[0]):
            for i1 in range(pieces.shape[1]):
                row = &pieces[i0, i1, 0]
                i = _skip_zeros(<const unsigned int *> row, 0, n)
                while i < n:
                    start = i
                    piece = row[i]
                    while i < n and row[i] == piece:
                        i += 1
                    new = number[piece]
                    for j in range(start, i):
                        row[j] = new
                    if new > 0:
                        k = new - 1
                        if sizes[k] == 0:
                            boxes[k, 0] = i0
                            boxes[k, 1] = i1
                            boxes[k, 2] = start
                            boxes[k, 4] = 0
                            boxes[k, 5] = 0
                            first[k] = (i0 * pieces.shape[1] + i1) * n + start
                        boxes[k, 1] = min(boxes[k, 1], i1)
                        boxes[k, 2] = min(boxes[k, 2], start)
                        boxes[k, 3] = i0 + 1
                        boxes[k, 4] = max(boxes[k, 4], i1 + 1)
                        boxes[k, 5] = max(boxes[k, 5], i)
                        sizes[k] += i - start
                    i = _skip_zeros(<const unsigned int *> row, i, n)


def connect(const int[:, ::1] pairs, int[::1] parent):
    """Make ``parent``, which holds 0..n, the smallest number that each is connected with by pairs."""
    cdef Py_ssize_t k
    cdef int i
    with nogil:
        for k in range(pairs.shape[1]):
            _join(&parent[0], pairs[0, k], pairs[1, k])
        for i in range(<int> parent.shape[0]):  # parents come before their children
            parent[i] = parent[parent[i]]
