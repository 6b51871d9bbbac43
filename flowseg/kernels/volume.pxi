# How the heat of a volume is swept: from the first to the last pixel of each row, and several sweeps at a time.
#
# The heat of an object of more than some 50 pixels across does not fit into the cache, and one sweep after the other
# would wait for the memory. So several sweeps go through the planes together, each one plane behind the one before it.
# Two arrays are enough, as for a single sweep: of what a sweep reads, the plane before and those behind, none has been
# overwritten by the next sweep.
#
#     planes    0    1    2    3    4    5    6    7
#     heat      3    3    3    1+   1    1    1    1      sweep 1 of other, in plane 5, reads the planes 4 .. 6 of heat,
#     other     2    2    2    2    2    0+   0    0      sweep 2 of heat comes next: plane 4 from 3 .. 5 of other

# Sweeps that go through the planes together. Source: measured, no gain beyond.
cdef enum:
    MAX_SWEEPS = 8

# Memory that these may work on, in bytes, so that it stays in the cache. Source: chosen, a part of the last cache.
cdef Py_ssize_t SWEEPS_BYTES = 8388608


# One sweep: its weights, how far from the center it reaches, and the heat that it adds there at its end.
cdef struct Sweep:
    Weights weights
    Py_ssize_t reach
    double added


cdef bint _find_segment(const Frame *frame, const unsigned char *inside, Segment *segment) noexcept nogil:
    # Find the blocks of columns from the first to the last pixel of the object in one row; returns whether it has any.
    cdef Py_ssize_t first = frame.low[2], stop = frame.high[2]
    while first < stop and not inside[first]:
        first += 1
    while first < stop and not inside[stop - 1]:
        stop -= 1
    segment.first = <int> (first // BLOCK_COLUMNS * BLOCK_COLUMNS)
    segment.stop = segment.first
    if first < stop:
        segment.stop = <int> ((stop + BLOCK_COLUMNS - 1) // BLOCK_COLUMNS * BLOCK_COLUMNS)
    return first < stop


cdef void _set_sums(Segment *segments, Py_ssize_t row, Py_ssize_t n_rows) noexcept nogil:
    # Set the columns in which sums over one row of a plane are needed.
    cdef Py_ssize_t i
    cdef Segment *segment = &segments[row]
    segment.first_sum = segment.first
    segment.stop_sum = segment.stop
    for i in range(max(row - 1, <Py_ssize_t> 0), min(row + 2, n_rows)):
        if segments[i].first < segments[i].stop:
            if segment.first_sum == segment.stop_sum:
                segment.first_sum = segments[i].first
            segment.first_sum = min(segment.first_sum, segments[i].first)
            segment.stop_sum = max(segment.stop_sum, segments[i].stop)


cdef void _set_segments(Frame *frame, Scratch *scratch) noexcept nogil:
    # Find the segments of all rows of a volume, and the first and the past-the-last row of each plane that has any.
    cdef Py_ssize_t plane, row, n_rows = frame.stride[0] // frame.stride[1]
    cdef const unsigned char *inside
    cdef Segment *segments
    for plane in range(frame.low[0], frame.high[0]):
        segments = scratch.segments + plane * n_rows
        scratch.span[2 * plane] = frame.high[1]
        for row in range(frame.low[1], frame.high[1]):
            inside = scratch.inside + plane * frame.stride[0] + row * frame.stride[1]
            if _find_segment(frame, inside, &segments[row]):
                scratch.span[2 * plane] = min(scratch.span[2 * plane], row)
                scratch.span[2 * plane + 1] = row + 1
        for row in range(n_rows):
            _set_sums(segments, row, n_rows)


cdef void _sweep_plane_of_volume(
    const Frame *frame, const Scratch *scratch, const Sweep *sweep, const double *source, double *target,
    Py_ssize_t plane
) noexcept nogil:
    # Take one sweep in one plane.
    cdef Py_ssize_t i = plane * frame.stride[0]
    cdef Rows rows
    rows.segments = scratch.segments + i // frame.stride[1]
    rows.sums = scratch.line
    rows.room = frame.stride[1] + 2
    rows.plane = frame.stride[0]
    rows.row = frame.stride[1]
    rows.first = max(scratch.span[2 * plane], frame.center_at[1] - sweep.reach)
    rows.stop = min(scratch.span[2 * plane + 1], frame.center_at[1] + sweep.reach + 1)
    if rows.first < rows.stop:
        sweeps.volume(target + i, source + i, scratch.inside_float + i, &rows, &sweep.weights)


cdef Py_ssize_t _count_sweeps(const Frame *frame) noexcept nogil:
    # Sweeps that go through the planes together: each needs a plane of both arrays, and all together three more.
    cdef Py_ssize_t pixels = 1 + frame.n_pixels // (frame.high[0] - frame.low[0])
    cdef Py_ssize_t planes = SWEEPS_BYTES // (2 * <Py_ssize_t> sizeof(double) * pixels)
    return min(max(planes - 3, <Py_ssize_t> 1), <Py_ssize_t> MAX_SWEEPS)


cdef Status _sweep_volume(
    const Job *job, Frame *frame, Scratch *scratch, const Sweep *plan, Py_ssize_t n
) noexcept nogil:
    # Take the first n sweeps of a plan together, starting from `heat`.
    cdef Py_ssize_t step, k, plane
    cdef double *source
    cdef double *target
    for step in range(frame.low[0], frame.high[0] + n - 1):
        if job.interrupt[0]:
            return INTERRUPTED
        for k in range(n):
            plane = step - k
            if not max(frame.low[0], frame.center_at[0] - plan[k].reach) <= plane < frame.high[0]:
                continue
            if plane > frame.center_at[0] + plan[k].reach:
                continue
            source = scratch.other if k & 1 else scratch.heat
            target = scratch.heat if k & 1 else scratch.other
            _sweep_plane_of_volume(frame, scratch, &plan[k], source, target, plane)
            if plane == frame.center_at[0]:
                target[frame.center] += plan[k].added
    if n & 1:
        scratch.heat, scratch.other = scratch.other, scratch.heat
    return FINISHED
