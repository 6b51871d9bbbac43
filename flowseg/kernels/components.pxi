# Connected components of a label image: their numbers, boxes and sizes. Rows are read run by run, so that background
# costs next to nothing. A run is a sequence of equal labels in one row.

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


cdef inline int _find_root(int *parent, int i) noexcept nogil:
    # The root of i in a union-find forest, with path halving.
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


cdef inline int _unite(int *parent, int a, int b) noexcept nogil:
    # Make one set of two; returns its root, the smaller of the two roots.
    a = _find_root(parent, a)
    b = _find_root(parent, b)
    parent[max(a, b)] = min(a, b)
    return min(a, b)


cdef int _unite_touching(
    const int *components, const label_t *label_of, int *parent, label_t label, Py_ssize_t start, Py_ssize_t stop,
    int component
) noexcept nogil:
    # Unite the components of this label in the columns start .. stop - 1 of one row with `component` (0: none yet);
    # returns the root.
    cdef Py_ssize_t i = start
    cdef int other
    while i < stop:
        other = components[i]
        if other and label_of[other] == label:
            component = _find_root(parent, other) if component == 0 else _unite(parent, component, other)
            while i < stop and components[i] == other:
                i += 1
        else:
            i += 1
    return component


def count_runs(const label_t[:, :, ::1] labels, unsigned long long limit):
    """Return the number of runs of labels 1..limit."""
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


cdef int _component_of_run(
    int[:, :, ::1] components, const label_t *label_of, int *parent, label_t label, Py_ssize_t i0, Py_ssize_t i1,
    Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    # The component in the rows before that a run in the columns start .. stop - 1 touches, also at corners; 0: none.
    cdef Py_ssize_t p0, p1
    cdef int component = 0
    start = max(start - 1, 0)
    stop = min(stop + 1, components.shape[2])
    for p0 in range(max(i0 - 1, 0), i0 + 1):
        for p1 in range(max(i1 - 1, 0), min(i1 + 2, components.shape[1])):
            if p0 == i0 and p1 >= i1:
                break
            component = _unite_touching(&components[p0, p1, 0], label_of, parent, label, start, stop, component)
    return component


def find_components(
    const label_t[:, :, ::1] labels, unsigned long long limit, int[:, :, ::1] components, int[::1] parent,
    label_t[::1] label_of
):
    """Write provisional numbers of the connected components of labels 1..limit into ``components``.

    ``components`` must hold zeros or be ``labels``. ``parent`` and ``label_of`` need room for one entry more than there
    are runs. ``parent[provisional]`` becomes the number of the component, 1..n in raster order of the first pixels,
    and ``label_of[provisional]`` its label. Returns n and the largest provisional number.
    """
    cdef Py_ssize_t i0, i1, i, j, start, n = labels.shape[2]
    cdef int component, last = 0, n_components = 0
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
                        component = _component_of_run(components, &label_of[0], &parent[0], label, i0, i1, start, i)
                        if component == 0:
                            last += 1
                            parent[last] = last
                            label_of[last] = label
                            component = last
                        for j in range(start, i):
                            components[i0, i1, j] = component
                    i = _skip_zeros(row, i, n)
        for i in range(1, last + 1):  # parents come before their children
            if parent[i] == i:
                n_components += 1
                parent[i] = n_components
            else:
                parent[i] = parent[parent[i]]
    return n_components, last


def renumber(
    int[:, :, ::1] components, const int[::1] number, Py_ssize_t[:, ::1] boxes, Py_ssize_t[::1] sizes,
    Py_ssize_t[::1] first
):
    """Replace every pixel k by ``number[k]`` (0: background), and measure the new objects.

    ``boxes[m - 1]`` becomes the first and the past-the-end coordinates of object m, ``sizes[m - 1]`` its number of
    pixels, ``first[m - 1]`` the flat index of its first pixel. ``sizes`` must hold zeros.
    """
    cdef Py_ssize_t i0, i1, i, j, k, start, n = components.shape[2]
    cdef int component, new
    cdef int *row
    with nogil:
        for i0 in range(components.shape[0]):
            for i1 in range(components.shape[1]):
                row = &components[i0, i1, 0]
                i = _skip_zeros(<const unsigned int *> row, 0, n)
                while i < n:
                    start = i
                    component = row[i]
                    while i < n and row[i] == component:
                        i += 1
                    new = number[component]
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
                            first[k] = (i0 * components.shape[1] + i1) * n + start
                        boxes[k, 1] = min(boxes[k, 1], i1)
                        boxes[k, 2] = min(boxes[k, 2], start)
                        boxes[k, 3] = i0 + 1
                        boxes[k, 4] = max(boxes[k, 4], i1 + 1)
                        boxes[k, 5] = max(boxes[k, 5], i)
                        sizes[k] += i - start
                    i = _skip_zeros(<const unsigned int *> row, i, n)


def unite_pairs(const int[:, ::1] pairs, int[::1] parent):
    """Set ``parent[i]`` to the smallest number that i is connected with by pairs.

    ``parent`` must hold 0..n.
    """
    cdef Py_ssize_t k
    cdef int i
    with nogil:
        for k in range(pairs.shape[1]):
            _unite(&parent[0], pairs[0, k], pairs[1, k])
        for i in range(<int> parent.shape[0]):  # parents come before their children
            parent[i] = parent[parent[i]]
