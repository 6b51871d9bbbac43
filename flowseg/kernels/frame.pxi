# The frame of one object: its box with a rim of zeros around it, its pixels and its center.

# Frames of up to this many pixels stay in the first cache and are swept strip by strip, larger ones row by row.
cdef Py_ssize_t NARROW_FRAME = 8192

# Runs of pixels in a row of a wide frame that are at least so far apart are swept one by one.
cdef Py_ssize_t GAP = 32

# From this many iterations on their sum is computed as a series (see heat.pxi): measured, no gain below.
cdef Py_ssize_t SERIES_FROM = 120


cdef struct Frame:
    # One object's box with a rim of zeros around it, as a flat array. What is behind a row is the left rim of the next:
    # behind the last row one more pixel is needed.
    Py_ssize_t origin[3]    # image coordinates of the frame's first pixel; the rim may lie outside the image
    Py_ssize_t low[3]       # the box inside the frame
    Py_ssize_t high[3]
    Py_ssize_t stride[3]    # flat distance between neighbors along each axis
    Py_ssize_t n            # pixels of all rows
    Py_ssize_t size         # and the one behind: every neighbor of a pixel of the object is in 0 .. size - 1
    Py_ssize_t first        # first axis that counts: 3 - ndim
    Py_ssize_t center
    Py_ssize_t at[3]        # frame coordinates of the center
    Py_ssize_t count        # pixels of the object
    bint narrow
    Py_ssize_t runs         # room for so many runs of pixels in each row; volumes: one, from the first to the last


cdef struct Scratch:
    double *heat
    double *other
    unsigned char *inside   # 0 outside the object, 1 inside, 2 where the flow is known
    float *inside_narrow    # the same for narrow frames
    double *planes          # volumes: box sums of three planes
    double *line
    double *terms           # of the series
    Py_ssize_t *histogram   # of rows, columns and planes
    Py_ssize_t *span        # first and past-the-last column of each run of pixels in each row, or row in each strip


cdef Py_ssize_t _max_terms(Py_ssize_t n_iter) noexcept nogil:
    # Terms of the series that can matter: the k-th is below exp(-3/4 k^2 / n), here 1e-32.
    return min(n_iter, 10 * (1 + <Py_ssize_t> sqrt(<double> n_iter)))


cdef bint _is_series(const Frame *frame, Py_ssize_t n_iter) noexcept nogil:
    # Whether the heat is worth a series: it saves sweeps, and its terms cost less than these.
    return n_iter >= SERIES_FROM and _max_terms(n_iter) < frame.n


cdef Py_ssize_t _lay_out(
    Frame *frame, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, Py_ssize_t ndim, Py_ssize_t left, Py_ssize_t multiple
) noexcept nogil:
    # The frame of object k with `left` columns before it and a width that is a multiple; returns its longest side.
    cdef Py_ssize_t axis, rim, size, longest = 0
    frame.first = 3 - ndim
    frame.n = 1
    for axis in range(2, -1, -1):
        rim = left if axis == 2 else (1 if axis >= frame.first else 0)
        frame.low[axis] = rim
        frame.high[axis] = rim + boxes[k, 3 + axis] - boxes[k, axis]
        frame.origin[axis] = boxes[k, axis] - rim
        size = frame.high[axis] + (0 if axis == 2 else rim)  # behind a row comes the left rim of the next
        size = (size + multiple - 1) // multiple * multiple if axis == 2 else size
        frame.stride[axis] = frame.n
        frame.n *= size
        longest = max(longest, size)
    frame.size = frame.n + 1
    return longest


cdef Py_ssize_t _set_frame(Frame *frame, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, Py_ssize_t ndim) noexcept nogil:
    # Narrow, with whole strips, if that stays in the first cache; else with the least rim. Returns the longest side.
    cdef Py_ssize_t longest = _lay_out(frame, boxes, k, ndim, STRIP, STRIP)
    frame.narrow = ndim == 2 and frame.n <= NARROW_FRAME
    if not frame.narrow:
        longest = _lay_out(frame, boxes, k, ndim, 1, 1)
    frame.runs = 1 if frame.narrow or ndim == 3 else 1 + frame.stride[1] // GAP
    return longest


cdef void _free_scratch(Scratch *scratch) noexcept nogil:
    give_back(scratch.heat)
    give_back(scratch.other)
    give_back(scratch.inside)
    give_back(scratch.inside_narrow)
    give_back(scratch.planes)
    give_back(scratch.line)
    give_back(scratch.terms)
    give_back(scratch.histogram)
    give_back(scratch.span)


cdef Status _make_scratch(Scratch *scratch, Frame *frame, Py_ssize_t longest, Py_ssize_t n_iter) noexcept nogil:
    # Arrays for one object; OUT_OF_MEMORY where there is no room (then nothing is left to free).
    cdef Py_ssize_t n = frame.size
    scratch.heat = <double *> take_zeros(n, sizeof(double))
    scratch.other = <double *> take_zeros(n, sizeof(double))
    scratch.inside = <unsigned char *> take_zeros(n, 1)
    scratch.inside_narrow = <float *> take_zeros(n if frame.narrow else 1, sizeof(float))
    scratch.planes = <double *> take_room(1 if frame.first else 3 * frame.stride[0], sizeof(double))
    scratch.line = <double *> take_room(longest + 2, sizeof(double))
    scratch.terms = <double *> take_room(
        2 * (_max_terms(n_iter) + 2) if _is_series(frame, n_iter) else 1, sizeof(double))
    scratch.histogram = <Py_ssize_t *> take_zeros(3 * longest, sizeof(Py_ssize_t))
    scratch.span = <Py_ssize_t *> take_zeros(
        2 * frame.runs * max(frame.n // frame.stride[1], longest), sizeof(Py_ssize_t))
    if (scratch.heat == NULL or scratch.other == NULL or scratch.inside == NULL or scratch.inside_narrow == NULL
            or scratch.planes == NULL or scratch.line == NULL or scratch.terms == NULL or scratch.histogram == NULL
            or scratch.span == NULL):
        _free_scratch(scratch)
        return OUT_OF_MEMORY
    return FINISHED


cdef void _find_runs(Frame *frame, Scratch *scratch, Py_ssize_t row) noexcept nogil:
    # Runs of the object's pixels in one row of a wide frame; behind them comes one that ends at 0.
    cdef Py_ssize_t i, n = 0
    cdef Py_ssize_t gap = GAP if frame.first == 1 else frame.stride[1]
    cdef const unsigned char *inside = scratch.inside + row * frame.stride[1]
    cdef Py_ssize_t *run = scratch.span + 2 * frame.runs * row
    run[0] = frame.high[2]
    for i in range(frame.low[2], frame.high[2]):
        if inside[i]:
            if n == 0 or i >= run[2 * n - 1] + gap:
                run[2 * n] = i
                n += 1
            run[2 * n - 1] = i + 1


cdef void _fill_inside(const Job *job, int label, Frame *frame, Scratch *scratch, Py_ssize_t longest) noexcept nogil:
    # Mark the object's pixels, count them along each axis, and note their runs in each row.
    cdef Py_ssize_t i0, i1, i2, i, count
    cdef unsigned char here
    cdef const int *row
    cdef Py_ssize_t *columns = scratch.histogram + 2 * longest
    frame.count = 0
    for i0 in range(frame.low[0], frame.high[0]):
        for i1 in range(frame.low[1], frame.high[1]):
            row = job.components + ((frame.origin[0] + i0) * job.shape[1] + frame.origin[1] + i1) * job.shape[2]
            row += frame.origin[2]
            i = i0 * frame.stride[0] + i1 * frame.stride[1]
            count = 0
            for i2 in range(frame.low[2], frame.high[2]):
                here = row[i2] == label
                scratch.inside[i + i2] = here
                columns[i2] += here
                count += here
            scratch.histogram[i0] += count
            scratch.histogram[longest + i1] += count
            frame.count += count
            if not frame.narrow:
                _find_runs(frame, scratch, i // frame.stride[1])
    if frame.narrow:
        for i in range(frame.n):
            scratch.inside_narrow[i] = scratch.inside[i]


cdef void _set_strip_spans(Frame *frame, Scratch *scratch) noexcept nogil:
    # First and past-the-last row of the object in each strip of columns.
    cdef Py_ssize_t strip, row, k, i
    for strip in range((frame.high[2] - 1) // STRIP):
        scratch.span[2 * strip] = frame.high[1]
        scratch.span[2 * strip + 1] = 0
        for row in range(frame.low[1], frame.high[1]):
            i = row * frame.stride[1] + (strip + 1) * STRIP
            for k in range(STRIP):
                if scratch.inside[i + k]:
                    scratch.span[2 * strip] = min(scratch.span[2 * strip], row)
                    scratch.span[2 * strip + 1] = row + 1
                    break


cdef void _find_center(const Job *job, Frame *frame, Scratch *scratch, Py_ssize_t longest) noexcept nogil:
    # The object's pixel nearest to the median of its coordinates per axis (the mean of the two middle ones where their
    # number is even); ties: first in raster order.
    cdef Py_ssize_t i, i0, i1, i2, axis, low, seen
    cdef double distance, d, far, best = -1.0
    cdef double median[3]
    for axis in range(frame.first, 3):
        seen = 0
        low = -1
        median[axis] = 0.0
        for i in range(frame.low[axis], frame.high[axis]):
            seen += scratch.histogram[axis * longest + i]
            if low < 0 and seen > (frame.count - 1) // 2:
                low = i
            if seen > frame.count // 2:
                median[axis] = 0.5 * (low + i)
                break
    for i0 in range(frame.low[0], frame.high[0]):
        for i1 in range(frame.low[1], frame.high[1]):
            far = 0.0
            if frame.first == 0:
                d = (i0 - median[0]) * job.spacing[0]
                far = d * d
            d = (i1 - median[1]) * job.spacing[1]
            far += d * d
            if 0.0 <= best <= far:
                continue
            i = i0 * frame.stride[0] + i1 * frame.stride[1]
            for i2 in range(frame.low[2], frame.high[2]):
                if scratch.inside[i + i2]:
                    d = (i2 - median[2]) * job.spacing[2]
                    distance = far + d * d
                    if best < 0.0 or distance < best:
                        best = distance
                        frame.center = i + i2
                        frame.at[0] = i0
                        frame.at[1] = i1
                        frame.at[2] = i2
