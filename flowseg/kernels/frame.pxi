# The frame of one object: its box with a rim of zeros around it, its pixels and its center.
#
# A frame is a flat array of rows. Pixels of the object are #, its center is C, other pixels are 0. In a wide frame the
# rim is one pixel, and a row has no rim on its right: the left rim of the next row serves, and one pixel at the end.
#
#     rim | box, columns low[2] .. high[2] - 1
#       0 | 0 0 0 0 0 0 0 0 0 0 0 0              rim
#       0 | 0 # # # 0 0 0 0 # # # #              row low[1]:       two runs, columns 2 .. 4 and 9 .. 12
#       0 | # # # # # # C # # # # 0                                one run,  columns 1 .. 11
#       0 | 0 0 # # # # # 0 0 0 0 0              row high[1] - 1:  one run,  columns 3 .. 7
#       0 | 0 0 0 0 0 0 0 0 0 0 0 0              rim
#       0
#
# A run is a sequence of the object's pixels in one row. The heat of a wide frame is swept run by run, so that a sweep
# skips the gaps between them (only those of at least MIN_GAP pixels, here drawn shorter).
#
# In a narrow frame rows consist of whole strips of STRIP columns (here 8), the first of which is the rim. The heat is
# swept strip by strip; a strip's span is the first and the past-the-last row in which it has pixels of the object.
#
#     rim             | strip 0         | strip 1
#     0 0 0 0 0 0 0 0 | 0 0 0 0 0 0 0 0 | 0 0 0 0 0 0 0 0      rim
#     0 0 0 0 0 0 0 0 | 0 # # # 0 0 0 0 | # # # # 0 0 0 0      row low[1]
#     0 0 0 0 0 0 0 0 | # # # # # # C # | # # # 0 0 0 0 0
#     0 0 0 0 0 0 0 0 | 0 0 # # # # # 0 | 0 0 0 0 0 0 0 0      row high[1] - 1
#     0 0 0 0 0 0 0 0 | 0 0 0 0 0 0 0 0 | 0 0 0 0 0 0 0 0      rim
#     0
#                       rows 1 .. 3       rows 1 .. 2          spans
#
# The frame of a volume has planes, with a plane of zeros before and behind. Its rows consist of whole blocks of
# BLOCK_COLUMNS columns, the first of which is the rim. For how they are swept see volume.pxi.

# Narrow frames have at most this many pixels. Source: chosen, so that their arrays stay in the first cache.
cdef Py_ssize_t MAX_NARROW_PIXELS = 8192

# Pixels between two runs that are swept one by one. Source: chosen; a shorter gap costs less than another run.
cdef Py_ssize_t MIN_GAP = 32

# Iterations from which on their sum is computed as a series, see heat.pxi. Source: measured, no gain below.
cdef Py_ssize_t MIN_SERIES_ITERATIONS = 120


# What `Scratch.inside` holds for a pixel of the frame.
cdef enum InsideState:
    OUTSIDE = 0
    INSIDE = 1
    FLOW_WRITTEN = 2    # inside, and its flow is known


cdef struct Frame:
    Py_ssize_t origin[3]    # image coordinates of the frame's first pixel; the rim may lie outside the image
    Py_ssize_t low[3]       # first coordinates of the box inside the frame
    Py_ssize_t high[3]      # past-the-end coordinates of the box
    Py_ssize_t stride[3]    # flat distance between neighbors along each axis
    Py_ssize_t n            # pixels of all rows
    Py_ssize_t size         # and the one behind: every neighbor of a pixel of the object is in 0 .. size - 1
    Py_ssize_t first_axis   # first axis that counts: 3 - ndim
    Py_ssize_t center       # flat index of the center
    Py_ssize_t center_at[3]  # its frame coordinates
    Py_ssize_t n_pixels     # of the object
    bint narrow
    Py_ssize_t max_runs     # of a row of a wide frame; 1 in others


# Arrays that one object is worked on in.
cdef struct Scratch:
    double *heat
    double *other           # heat of the next iteration
    unsigned char *inside   # an InsideState per pixel
    float *inside_float     # narrow frames and volumes: 0 or 1 per pixel
    double *line            # one row and a pixel on either side; volumes: four rows of sums
    double *terms           # of the series
    Py_ssize_t *histogram   # pixels of the object by plane, row and column
    Py_ssize_t *span        # first and past-the-end column of each run of each row, or row of each strip or plane
    Segment *segments       # volumes: of each row


cdef Py_ssize_t _max_terms(Py_ssize_t n_iter) noexcept nogil:
    # Terms of the series that can matter: the k-th is below exp(-3/4 k^2 / n), here 1e-32.
    return min(n_iter, 10 * (1 + <Py_ssize_t> sqrt(<double> n_iter)))


cdef bint _uses_series(const Frame *frame, Py_ssize_t n_iter) noexcept nogil:
    # Whether the heat is computed as a series: if this saves sweeps, and the terms cost less than these.
    return n_iter >= MIN_SERIES_ITERATIONS and _max_terms(n_iter) < frame.n


cdef Py_ssize_t _set_layout(
    Frame *frame, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, Py_ssize_t ndim, Py_ssize_t left, Py_ssize_t multiple
) noexcept nogil:
    # Set the frame of object k with a rim of `left` columns and a width that is a multiple; returns its longest side.
    cdef Py_ssize_t axis, rim, size, longest = 0
    frame.first_axis = 3 - ndim
    frame.n = 1
    for axis in range(2, -1, -1):
        rim = left if axis == 2 else (1 if axis >= frame.first_axis else 0)
        frame.low[axis] = rim
        frame.high[axis] = rim + boxes[k, 3 + axis] - boxes[k, axis]
        frame.origin[axis] = boxes[k, axis] - rim
        size = frame.high[axis] + (0 if axis == 2 else rim)  # the left rim of the next row serves
        size = (size + multiple - 1) // multiple * multiple if axis == 2 else size
        frame.stride[axis] = frame.n
        frame.n *= size
        longest = max(longest, size)
    frame.size = frame.n + 1
    return longest


cdef Py_ssize_t _set_frame(Frame *frame, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, Py_ssize_t ndim) noexcept nogil:
    # Set the frame of object k: narrow if it is small enough, else wide; returns its longest side.
    cdef Py_ssize_t columns, longest = _set_layout(frame, boxes, k, ndim, STRIP, STRIP)
    frame.narrow = ndim == 2 and frame.n <= MAX_NARROW_PIXELS
    if not frame.narrow:
        columns = 1 if ndim == 2 else BLOCK_COLUMNS
        longest = _set_layout(frame, boxes, k, ndim, columns, columns)
    frame.max_runs = 1 if frame.narrow or ndim == 3 else 1 + frame.stride[1] // MIN_GAP
    return longest


cdef void _free_scratch(Scratch *scratch) noexcept nogil:
    release(scratch.heat)
    release(scratch.other)
    release(scratch.inside)
    release(scratch.inside_float)
    release(scratch.line)
    release(scratch.terms)
    release(scratch.histogram)
    release(scratch.span)
    release(scratch.segments)


cdef Status _make_scratch(Scratch *scratch, Frame *frame, Py_ssize_t longest, Py_ssize_t n_iter) noexcept nogil:
    # Allocate the arrays of one object; returns FINISHED or OUT_OF_MEMORY, with nothing left to free.
    cdef Py_ssize_t n = frame.size
    scratch.heat = <double *> allocate_zeros(n, sizeof(double))
    scratch.other = <double *> allocate_zeros(n, sizeof(double))
    scratch.inside = <unsigned char *> allocate_zeros(n, 1)
    scratch.inside_float = <float *> allocate_zeros(
        n if frame.narrow or frame.first_axis == 0 else 1, sizeof(float))
    scratch.line = <double *> allocate_zeros(
        longest + 2 if frame.first_axis else N_SUM_ROWS * (frame.stride[1] + 2), sizeof(double))
    scratch.terms = <double *> allocate(
        2 * (_max_terms(n_iter) + 2) if _uses_series(frame, n_iter) else 1, sizeof(double))
    scratch.histogram = <Py_ssize_t *> allocate_zeros(3 * longest, sizeof(Py_ssize_t))
    scratch.span = <Py_ssize_t *> allocate_zeros(
        2 * frame.max_runs * max(frame.n // frame.stride[1], longest) if frame.first_axis else 2 * longest,
        sizeof(Py_ssize_t))
    scratch.segments = <Segment *> allocate_zeros(
        1 if frame.first_axis else frame.n // frame.stride[1], sizeof(Segment))
    if (scratch.heat == NULL or scratch.other == NULL or scratch.inside == NULL or scratch.inside_float == NULL
            or scratch.line == NULL or scratch.terms == NULL or scratch.histogram == NULL or scratch.span == NULL
            or scratch.segments == NULL):
        _free_scratch(scratch)
        return OUT_OF_MEMORY
    return FINISHED


cdef void _find_runs(Frame *frame, Scratch *scratch, Py_ssize_t row) noexcept nogil:
    # List the runs in one row of a wide frame. After the last comes one that ends at 0, if there is room for it.
    cdef Py_ssize_t i, n = 0
    cdef const unsigned char *inside = scratch.inside + row * frame.stride[1]
    cdef Py_ssize_t *run = scratch.span + 2 * frame.max_runs * row
    run[0] = frame.high[2]
    for i in range(frame.low[2], frame.high[2]):
        if inside[i]:
            if n == 0 or i >= run[2 * n - 1] + MIN_GAP:
                run[2 * n] = i
                n += 1
            run[2 * n - 1] = i + 1


cdef void _mark_object(const Job *job, int label, Frame *frame, Scratch *scratch, Py_ssize_t longest) noexcept nogil:
    # Mark the object's pixels, count them by plane, row and column, and list the runs of each row.
    cdef Py_ssize_t i0, i1, i2, i, count
    cdef unsigned char here
    cdef const int *row
    cdef Py_ssize_t *columns = scratch.histogram + 2 * longest
    frame.n_pixels = 0
    for i0 in range(frame.low[0], frame.high[0]):
        for i1 in range(frame.low[1], frame.high[1]):
            row = job.components + ((frame.origin[0] + i0) * job.shape[1] + frame.origin[1] + i1) * job.shape[2]
            row += frame.origin[2]
            i = i0 * frame.stride[0] + i1 * frame.stride[1]
            count = 0
            for i2 in range(frame.low[2], frame.high[2]):
                here = row[i2] == label  # OUTSIDE or INSIDE
                scratch.inside[i + i2] = here
                columns[i2] += here
                count += here
            scratch.histogram[i0] += count
            scratch.histogram[longest + i1] += count
            frame.n_pixels += count
            if not frame.narrow and frame.first_axis:
                _find_runs(frame, scratch, i // frame.stride[1])
    if frame.narrow or frame.first_axis == 0:
        for i in range(frame.n):
            scratch.inside_float[i] = scratch.inside[i]


cdef void _set_strip_spans(Frame *frame, Scratch *scratch) noexcept nogil:
    # Set the span of each strip.
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
    # Set the center: the object's pixel nearest to the per-axis median of its coordinates, of several the first in
    # raster order. The median of an even number of coordinates is the mean of the two in the middle.
    cdef Py_ssize_t i, i0, i1, i2, axis, low, seen
    cdef double distance, d, far, best = -1.0
    cdef double median[3]
    frame.center = 0
    for axis in range(frame.first_axis, 3):
        seen = 0
        low = -1
        median[axis] = 0.0
        for i in range(frame.low[axis], frame.high[axis]):
            seen += scratch.histogram[axis * longest + i]
            if low < 0 and seen > (frame.n_pixels - 1) // 2:
                low = i
            if seen > frame.n_pixels // 2:
                median[axis] = 0.5 * (low + i)
                break
    for i0 in range(frame.low[0], frame.high[0]):
        for i1 in range(frame.low[1], frame.high[1]):
            far = 0.0
            if frame.first_axis == 0:
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
                        frame.center_at[0] = i0
                        frame.center_at[1] = i1
                        frame.center_at[2] = i2
