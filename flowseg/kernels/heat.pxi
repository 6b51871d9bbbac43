# Heat that spreads from the center of one object: by iteration, or by the series that sums all iterations.

# The sum of many iterations is computed as a Chebyshev series, which takes fewer sweeps. It leaves out less than this,
# in units of the heat that one iteration adds. Source: 1e-5 of the least heat that a series is used for.
cdef double SERIES_ERROR = 1e-22

# A series is used for objects whose heat is nowhere below this, in the same unit. Long and thin ones are iterated.
# Source: measured, see docs/explanation/kernels.rst; flows are those of the iterations.
cdef double MIN_SERIES_HEAT = 1e-17

# Heat that is less than exp(-FAINT) times the number of iterations is not followed, see _reach. Source: 1e-300, near
# the least float64.
cdef double FAINT = 691.0


cdef void _sweep_plane(
    Frame *frame, Scratch *scratch, const Weights *weights, const double *source, double *target, Py_ssize_t *low,
    Py_ssize_t *high
) noexcept nogil:
    # Write the box mean of `source` into `target` between the frame coordinates low and high.
    cdef Py_ssize_t strip, row, run, first, stop, i
    if frame.narrow:
        for strip in range((low[2] - STRIP) // STRIP, (high[2] - 1) // STRIP):
            first = max(low[1], scratch.span[2 * strip])
            stop = min(high[1], scratch.span[2 * strip + 1])
            if first < stop:
                i = (strip + 1) * STRIP
                sweeps.narrow(target + i, source + i, scratch.inside_narrow + i, frame.stride[1], first, stop, weights)
        return
    for row in range(low[1], high[1]):
        for run in range(2 * frame.max_runs * row, 2 * frame.max_runs * (row + 1), 2):
            if scratch.span[run + 1] == 0:
                break
            first = max(low[2], scratch.span[run])
            stop = min(high[2], scratch.span[run + 1])
            if first < stop:
                i = row * frame.stride[1] + first
                sweeps.wide(
                    target + i, source + i, scratch.inside + i, scratch.line, frame.stride[1], stop - first, weights)


cdef void _sweep_volume(
    Frame *frame, Scratch *scratch, const Weights *weights, const double *source, double *target, Py_ssize_t *low,
    Py_ssize_t *high
) noexcept nogil:
    # Write the box mean of a volume. Box sums of three planes are kept in turn; those around a plane give its mean.
    cdef Py_ssize_t plane, row, i, j, first, stop, before, here, after
    cdef Py_ssize_t n_rows = frame.stride[0] // frame.stride[1]
    for plane in range(low[0] - 1, high[0] + 1):
        after = plane % 3 * frame.stride[0]
        here = (plane + 2) % 3 * frame.stride[0]
        before = (plane + 1) % 3 * frame.stride[0]
        for row in range(low[1], high[1]):
            first = high[2]
            stop = low[2]
            for i in range(max(plane - 1, frame.low[0]), min(plane + 2, frame.high[0])):
                first = min(first, scratch.span[2 * (i * n_rows + row)])
                stop = max(stop, scratch.span[2 * (i * n_rows + row) + 1])
            first = max(first, low[2])
            stop = min(stop, high[2])
            if first >= stop:
                continue
            j = row * frame.stride[1]
            i = plane * frame.stride[0] + j
            sweeps.sum(scratch.planes + after + j + first, source + i + first, scratch.line, frame.stride[1],
                       stop - first, weights)
            if plane <= low[0]:
                continue
            i -= frame.stride[0]
            first = max(low[2], scratch.span[2 * ((plane - 1) * n_rows + row)])
            stop = min(high[2], scratch.span[2 * ((plane - 1) * n_rows + row) + 1])
            j += first
            if first < stop:
                sweeps.join(target + i + first, source + i + first, scratch.inside + i + first,
                            scratch.planes + before + j, scratch.planes + here + j, scratch.planes + after + j,
                            stop - first, weights)


cdef void _sweep(
    Frame *frame, Scratch *scratch, const Weights *weights, const double *source, double *target, Py_ssize_t reach
) noexcept nogil:
    # Write the box mean of `source`, whose heat is at most `reach` pixels away from the center, into `target`.
    cdef Py_ssize_t axis
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    for axis in range(3):
        low[axis] = max(frame.low[axis], frame.center_at[axis] - reach)
        high[axis] = min(frame.high[axis], frame.center_at[axis] + reach + 1)
    if frame.first_axis == 0:
        _sweep_volume(frame, scratch, weights, source, target, low, high)
    else:
        _sweep_plane(frame, scratch, weights, source, target, low, high)


cdef inline Py_ssize_t _reach(Py_ssize_t t) noexcept nogil:
    # Pixels that heat gets away from the center in t iterations. At a distance d along an axis it is at most
    # t exp(-3/4 d^2 / t), because the box mean is a random walk with steps -1, 0, 1.
    return min(t, 1 + <Py_ssize_t> sqrt(4.0 / 3.0 * FAINT * t))


cdef Status _iterate(
    const Job *job, Frame *frame, Scratch *scratch, Weights *weights, Py_ssize_t n_iter
) noexcept nogil:
    # Compute the heat by iteration: n_iter times, add one unit at the center, then take the box mean.
    cdef Py_ssize_t t
    weights.chebyshev = 0
    weights.alpha = job.scale
    for t in range(1, n_iter + 1):
        if job.interrupt[0]:
            return INTERRUPTED
        scratch.heat[frame.center] += 1.0
        _sweep(frame, scratch, weights, scratch.heat, scratch.other, _reach(t))
        scratch.heat, scratch.other = scratch.other, scratch.heat
    return FINISHED


cdef Status _find_terms(const Job *job, double *terms, Py_ssize_t n_iter, Py_ssize_t *last) noexcept nogil:
    # Weights of x + x^2 + ... + x^n in Chebyshev polynomials T_k(y), x = (1 + 2 y) / 3, y in [-1, 1]; `last` is
    # set to the last one that counts. Adding 1 and multiplying by x, n times, is itself a diffusion, on a half-line, so
    # all coefficients are positive.
    cdef Py_ssize_t t, k, m = _max_terms(n_iter)
    cdef double tail = 0.0
    cdef double *old = terms
    cdef double *new = terms + m + 2
    memset(terms, 0, 2 * (m + 2) * sizeof(double))
    for t in range(n_iter):
        if job.interrupt[0]:
            return INTERRUPTED
        old[0] += 1.0
        new[0] = (old[0] + old[1]) * (1.0 / 3.0)
        new[1] = ((old[0] + old[2]) + (old[1] + old[0])) * (1.0 / 3.0)
        for k in range(2, min(m, t + 1) + 1):
            new[k] = ((old[k - 1] + old[k + 1]) + old[k]) * (1.0 / 3.0)
        old, new = new, old
    memmove(terms, old, (m + 1) * sizeof(double))
    while m > 0 and tail + terms[m] < SERIES_ERROR:
        tail += terms[m]
        m -= 1
    last[0] = m
    return FINISHED


cdef Status _sum_series(
    const Job *job, Frame *frame, Scratch *scratch, Weights *weights, Py_ssize_t n_iter
) noexcept nogil:
    # Compute the same heat by Clenshaw's recurrence: b_k = c_k + (3 M - 1) b_{k+1} - b_{k+2}, where M is the box mean.
    cdef Py_ssize_t k, m = 0
    if _find_terms(job, scratch.terms, n_iter, &m) == INTERRUPTED:
        return INTERRUPTED
    weights.chebyshev = 1
    weights.alpha = 3.0 * job.scale
    weights.beta = 1.0
    for k in range(m, -1, -1):
        if job.interrupt[0]:
            return INTERRUPTED
        if k == 0:  # the last term has half the weight
            weights.alpha = 1.5 * job.scale
            weights.beta = 0.5
        _sweep(frame, scratch, weights, scratch.heat, scratch.other, m - k)
        scratch.other[frame.center] += scratch.terms[k]
        scratch.heat, scratch.other = scratch.other, scratch.heat
    return FINISHED


cdef bint _is_warm(Frame *frame, Scratch *scratch) noexcept nogil:
    # Whether the heat is large enough everywhere for the series.
    cdef Py_ssize_t i
    for i in range(frame.n):
        if scratch.inside[i] and not scratch.heat[i] >= MIN_SERIES_HEAT:
            return False
    return True


cdef Status _spread_heat(const Job *job, Frame *frame, Scratch *scratch, Py_ssize_t n_iter) noexcept nogil:
    # Compute the heat of one object: by the series if it is large enough everywhere, else by iteration.
    cdef Weights weights
    cdef Status status
    weights.ratio[0] = job.ratio[0]
    weights.ratio[1] = job.ratio[1]
    weights.ratio[2] = job.ratio[2]
    if _uses_series(frame, n_iter):
        status = _sum_series(job, frame, scratch, &weights, n_iter)
        if status != FINISHED or _is_warm(frame, scratch):
            return status
        memset(scratch.heat, 0, frame.n * sizeof(double))
        memset(scratch.other, 0, frame.n * sizeof(double))
    return _iterate(job, frame, scratch, &weights, n_iter)
