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
                sweeps.narrow(target + i, source + i, scratch.inside_float + i, frame.stride[1], first, stop, weights)
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


cdef void _sweep_image(Frame *frame, Scratch *scratch, const Sweep *sweep) noexcept nogil:
    # Take one sweep of a 2-D image, from `heat`.
    cdef Py_ssize_t axis
    cdef Py_ssize_t low[3]
    cdef Py_ssize_t high[3]
    for axis in range(3):
        low[axis] = max(frame.low[axis], frame.center_at[axis] - sweep.reach)
        high[axis] = min(frame.high[axis], frame.center_at[axis] + sweep.reach + 1)
    _sweep_plane(frame, scratch, &sweep.weights, scratch.heat, scratch.other, low, high)
    scratch.other[frame.center] += sweep.added
    scratch.heat, scratch.other = scratch.other, scratch.heat


cdef Status _sweep(const Job *job, Frame *frame, Scratch *scratch, const Sweep *plan, Py_ssize_t n) noexcept nogil:
    # Take the first n sweeps of a plan; the heat is in `heat` before and after.
    cdef Py_ssize_t k
    if frame.first_axis == 0:
        return _sweep_volume(job, frame, scratch, plan, n)
    for k in range(n):
        if job.interrupt[0]:
            return INTERRUPTED
        _sweep_image(frame, scratch, &plan[k])
    return FINISHED


cdef inline Py_ssize_t _reach(Py_ssize_t t) noexcept nogil:
    # Pixels that heat gets away from the center in t iterations. At a distance d along an axis it is at most
    # t exp(-3/4 d^2 / t), because the box mean is a random walk with steps -1, 0, 1.
    return min(t, 1 + <Py_ssize_t> sqrt(4.0 / 3.0 * FAINT * t))


cdef Status _iterate(
    const Job *job, Frame *frame, Scratch *scratch, const Weights *weights, Py_ssize_t n_iter
) noexcept nogil:
    # Compute the heat by iteration: n_iter times, add one unit at the center, then take the box mean.
    cdef Py_ssize_t k, n, t = 0, together = _count_sweeps(frame)
    cdef Status status = FINISHED
    cdef Sweep plan[MAX_SWEEPS]
    for k in range(together):
        plan[k].weights = weights[0]
        plan[k].weights.chebyshev = 0
        plan[k].weights.alpha = job.scale
    scratch.heat[frame.center] += 1.0
    while t < n_iter and status == FINISHED:
        n = min(together, n_iter - t)
        for k in range(n):
            t += 1
            plan[k].reach = _reach(t)
            plan[k].added = 1.0 if t < n_iter else 0.0
        status = _sweep(job, frame, scratch, plan, n)
    return status


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
    const Job *job, Frame *frame, Scratch *scratch, const Weights *weights, Py_ssize_t n_iter
) noexcept nogil:
    # Compute the same heat by Clenshaw's recurrence: b_k = c_k + (3 M - 1) b_{k+1} - b_{k+2}, where M is the box mean.
    cdef Py_ssize_t i, n, k, m = 0, together = _count_sweeps(frame)
    cdef Status status = _find_terms(job, scratch.terms, n_iter, &m)
    cdef Sweep plan[MAX_SWEEPS]
    k = m
    while k >= 0 and status == FINISHED:
        n = min(together, k + 1)
        for i in range(n):
            plan[i].weights = weights[0]
            plan[i].weights.chebyshev = 1
            plan[i].weights.alpha = 3.0 * job.scale if k > 0 else 1.5 * job.scale  # the last term has half the weight
            plan[i].weights.beta = 1.0 if k > 0 else 0.5
            plan[i].reach = m - k
            plan[i].added = scratch.terms[k]
            k -= 1
        status = _sweep(job, frame, scratch, plan, n)
    return status


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
    weights.beta = 0.0
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
