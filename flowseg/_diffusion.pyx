# cython: language_level=3, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled kernels: heat diffusion and its unit flows, connected components, following of flows, and basins.

The parts are in ``kernels/``, in the order in which they are included below. ``kernels/frame.pxi`` comes first; it has
a drawing of the arrays that an object is worked on in.

Kernels check nothing and use no Python objects: the callers check the arguments. All images have three axes; a 2-D
image is one plane, and ``ndim`` is the number of the last axes that count. Every object has arrays of its own, so its
flows depend neither on the rest of the image nor on the number of threads. All kernels release the GIL. Those that may
take long return INTERRUPTED early once ``interrupt[0]`` is not 0. ``start`` and ``stop`` are the first and the
past-the-end index of a range everywhere.
"""
from libc.math cimport fabs, log1p, sqrt
from libc.string cimport memcpy, memmove, memset

cdef extern from "kernels/memory.h":
    void *allocate_zeros(size_t count, size_t size) noexcept nogil
    void *allocate(size_t count, size_t size) noexcept nogil
    void release(void *array) noexcept nogil
    bint is_memory_checked() noexcept nogil
    void set_poison(int byte) noexcept nogil
    void fail_allocation_at(long number, int lasting) noexcept nogil
    void count_memory(long *allocated, long *in_use, long *damaged) noexcept nogil

cdef extern from "kernels/sweep.h":
    ctypedef int volatile_int "volatile int"
    enum:
        STRIP
        BLOCK_COLUMNS
        N_SUM_ROWS
    ctypedef struct Weights:
        double ratio[3]
        double alpha
        double beta
        int chebyshev
    ctypedef struct Segment:
        int first
        int stop
        int first_sum
        int stop_sum
    ctypedef struct Rows:
        const Segment *segments
        double *sums
        ptrdiff_t room
        ptrdiff_t plane
        ptrdiff_t row
        ptrdiff_t first
        ptrdiff_t stop
    ctypedef struct Sweeps:
        int bits
        void (*narrow)(double *, const double *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                       const Weights *) noexcept nogil
        void (*wide)(double *, const double *, const unsigned char *, double *, ptrdiff_t, ptrdiff_t,
                     const Weights *) noexcept nogil
        void (*volume)(double *, const double *, const float *, const Rows *, const Weights *) noexcept nogil
    const Sweeps SWEEPS[]
    int count_sweeps()

# What kernels return that can end early; `_system/parallel.py` has the same numbers.
cdef enum Status:
    INTERRUPTED = -2
    OUT_OF_MEMORY = -1
    FINISHED = 0

cdef const Sweeps *sweeps = &SWEEPS[count_sweeps() - 1]


# What all objects of one call have in common.
cdef struct Job:
    const int *components
    Py_ssize_t shape[3]
    Py_ssize_t ndim
    Py_ssize_t n_iter       # number of iterations; -1: twice the object's extent
    double spacing[3]       # distance between pixels, in units of the smallest
    double per_distance[3]  # 1 / spacing ** 2
    double ratio[3]         # heat that stays, in units of what goes to a neighbor
    double scale            # heat that goes to a neighbor along every axis
    float *flows            # to write, or NULL
    const float *reference  # flows to compare with where none are written
    Py_ssize_t plane        # pixels of the image: distance between components of the flows
    const volatile_int *interrupt


include "kernels/frame.pxi"
include "kernels/volume.pxi"
include "kernels/heat.pxi"
include "kernels/gradient.pxi"
include "kernels/components.pxi"
include "kernels/following.pxi"
include "kernels/basins.pxi"
include "kernels/borders.pxi"
include "kernels/joining.pxi"


cdef Status _object_flows(
    const Job *job, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, double *error
) noexcept nogil:
    # Write the flows of object k + 1, or set `error` to the mean squared distance between them and the reference.
    cdef Frame frame
    cdef Scratch scratch
    cdef Py_ssize_t axis, n_iter = job.n_iter
    cdef Py_ssize_t longest = _set_frame(&frame, boxes, k, job.ndim)
    cdef Status status = FINISHED
    if n_iter < 0:
        n_iter = 0
        for axis in range(frame.first_axis, 3):
            n_iter += 2 * (frame.high[axis] - frame.low[axis] - 1)
    if _make_scratch(&scratch, &frame, longest, n_iter) == OUT_OF_MEMORY:
        return OUT_OF_MEMORY
    _mark_object(job, <int> (k + 1), &frame, &scratch, longest)
    _find_center(job, &frame, &scratch, longest)
    if frame.narrow:
        _set_strip_spans(&frame, &scratch)
    elif frame.first_axis == 0:
        _set_segments(&frame, &scratch)
    if frame.n_pixels > 1:
        status = _spread_heat(job, &frame, &scratch, n_iter)
    if status == FINISHED:
        error[0] = _write_flows(job, &frame, &scratch) / frame.n_pixels
    _free_scratch(&scratch)
    return status


cdef void _set_job(
    Job *job, const int[:, :, ::1] components, Py_ssize_t ndim, const double *spacing, Py_ssize_t n_iter,
    const int[::1] interrupt
) noexcept nogil:
    # Set all of a job but the flows. `spacing` holds three distances, or is NULL where all are 1.
    cdef Py_ssize_t axis
    cdef double d
    job.components = &components[0, 0, 0]
    job.ndim = ndim
    job.n_iter = n_iter
    job.scale = 1.0
    for axis in range(3):
        d = 1.0 if spacing == NULL else spacing[axis]
        job.shape[axis] = components.shape[axis]
        job.spacing[axis] = d
        job.per_distance[axis] = 1.0 / (d * d)
        # A neighbor gets the share 1 / (3 d^2), which leaves 1 - 2 / (3 d^2): 3 d^2 - 2 times as much.
        job.ratio[axis] = 3.0 * d * d - 2.0
        if axis >= 3 - ndim:
            job.scale /= 3.0 * d * d
    job.flows = NULL
    job.reference = NULL
    job.plane = job.shape[0] * job.shape[1] * job.shape[2]
    job.interrupt = &interrupt[0]


cdef Status _run_job(
    const Job *job, const Py_ssize_t[:, ::1] boxes, const Py_ssize_t[::1] order, double *errors
) noexcept nogil:
    # Work on the objects k + 1 for all k in `order`, and write their errors, unless `errors` is NULL.
    cdef Py_ssize_t i
    cdef Status status
    cdef double error = 0.0
    for i in range(order.shape[0]):
        status = _object_flows(job, boxes, order[i], &error)
        if status != FINISHED:
            return status
        if errors != NULL:
            errors[order[i]] = error
    return FINISHED


def compute_flows(
    const int[:, :, ::1] components, const Py_ssize_t[:, ::1] boxes, const Py_ssize_t[::1] order,
    const double[::1] spacing, Py_ssize_t n_iter, float[:, :, :, ::1] flows, const int[::1] interrupt
):
    """Write the flows of the objects k + 1, for all k in ``order``, into ``flows``.

    ``components`` holds connected objects 1..n and ``boxes[k]`` the first and the past-the-end coordinates of object
    k + 1. ``spacing`` is the distance between pixels along three axes in units of the smallest. ``n_iter`` is the
    number of iterations, or -1 for twice the object's extent. Returns FINISHED, OUT_OF_MEMORY or INTERRUPTED.
    """
    cdef Job job
    cdef Status status
    if order.shape[0] == 0:
        return FINISHED
    _set_job(&job, components, flows.shape[0], &spacing[0], n_iter, interrupt)
    job.flows = &flows[0, 0, 0, 0]
    with nogil:
        status = _run_job(&job, boxes, order, NULL)
    return status


def compute_flow_errors(
    const int[:, :, ::1] components, const Py_ssize_t[:, ::1] boxes, const Py_ssize_t[::1] order,
    const float[:, :, :, ::1] flows, double[::1] errors, const int[::1] interrupt
):
    """Compare ``flows`` with the flows of the objects k + 1, for all k in ``order``.

    ``errors[k]`` becomes the mean squared distance over the pixels of object k + 1. Otherwise as `compute_flows`.
    """
    cdef Job job
    cdef Status status
    if order.shape[0] == 0:
        return FINISHED
    _set_job(&job, components, flows.shape[0], NULL, -1, interrupt)
    job.reference = &flows[0, 0, 0, 0]
    with nogil:
        status = _run_job(&job, boxes, order, &errors[0])
    return status


def checks_memory():
    """Return whether this build checks the memory of the kernels: only then the next functions have an effect."""
    return is_memory_checked()


def use_poison(int byte):
    """Fill memory that the kernels must not read with this byte from now on. For the tests."""
    set_poison(byte)


def fail_allocation(long number, bint lasting=False):
    """Make the n-th allocation from now on fail, and with ``lasting`` all after it; 0: none. For the tests."""
    fail_allocation_at(number, lasting)


def count_allocations():
    """Return the numbers of arrays allocated so far, of arrays in use, and of arrays freed with damaged guards."""
    cdef long allocated, in_use, damaged
    count_memory(&allocated, &in_use, &damaged)
    return allocated, in_use, damaged


def list_widths():
    """Return the vector widths, in bits, that this machine can run."""
    return [SWEEPS[i].bits for i in range(count_sweeps())]


def use_width(int bits):
    """Use vectors of this width, in bits, from now on; the results are the same. For the tests."""
    global sweeps
    cdef int i
    for i in range(count_sweeps()):
        if SWEEPS[i].bits == bits:
            sweeps = &SWEEPS[i]
