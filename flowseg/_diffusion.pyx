# cython: language_level=3, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled kernels: heat diffusion and its unit flows here; pieces, following and basins in the files included.

No checks and no Python objects: the callers see to the arguments. Images always have three axes here; a 2-D image is
one plane, and ``ndim`` says how many of the last axes count. Every object is worked on alone, in a frame of its own:
its flows depend on nothing else in the image, nor on how objects are shared out over threads. All kernels release the
GIL; those that may take long return early once ``stop[0]`` is set.
"""
from libc.math cimport fabs, log1p, sqrt
from libc.string cimport memcpy, memmove, memset

cdef extern from "kernels/memory.h":
    void *take_zeros(size_t count, size_t size) noexcept nogil
    void *take_room(size_t count, size_t size) noexcept nogil
    void give_back(void *array) noexcept nogil
    bint is_memory_checked() noexcept nogil
    void choose_poison(int byte) noexcept nogil
    void fail_array(long number, int lasting) noexcept nogil
    void count_arrays(long *taken, long *held, long *damaged) noexcept nogil

cdef extern from "kernels/sweep.h":
    ctypedef int volatile_int "volatile int"
    enum:
        STRIP
    ctypedef struct Recipe:
        double ratio[3]
        double alpha
        double beta
        int chebyshev
    ctypedef struct Sweeps:
        int bits
        void (*narrow)(double *, const double *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                       const Recipe *) noexcept nogil
        void (*wide)(double *, const double *, const unsigned char *, double *, ptrdiff_t, ptrdiff_t,
                     const Recipe *) noexcept nogil
        void (*join)(double *, const double *, const unsigned char *, const double *, const double *,
                     const double *, ptrdiff_t, const Recipe *) noexcept nogil
        void (*sum)(double *, const double *, double *, ptrdiff_t, ptrdiff_t, const Recipe *) noexcept nogil
    const Sweeps SWEEPS[]
    int count_sweeps()

cdef int OUT_OF_MEMORY = -1
cdef int STOPPED = -2

cdef const Sweeps *sweeps = &SWEEPS[count_sweeps() - 1]


cdef struct Job:
    const int *pieces
    Py_ssize_t shape[3]
    Py_ssize_t ndim
    Py_ssize_t n_iter       # -1: twice the object's extent
    double spacing[3]
    double per_distance[3]
    double ratio[3]
    double scale
    float *flows            # to write, or NULL:
    const float *given      # to compare with
    Py_ssize_t plane        # distance between components
    const volatile_int *stop


include "kernels/frame.pxi"
include "kernels/heat.pxi"
include "kernels/gradient.pxi"
include "kernels/pieces.pxi"
include "kernels/walk.pxi"
include "kernels/basins.pxi"


cdef int _object_flows(const Job *job, const Py_ssize_t[:, ::1] boxes, Py_ssize_t k, double *error) noexcept nogil:
    cdef Frame frame
    cdef Scratch scratch
    cdef Py_ssize_t axis, n_iter = job.n_iter
    cdef Py_ssize_t longest = _set_frame(&frame, boxes, k, job.ndim)
    cdef int status = 0
    if n_iter < 0:
        n_iter = 0
        for axis in range(frame.first, 3):
            n_iter += 2 * (frame.high[axis] - frame.low[axis] - 1)
    if _make_scratch(&scratch, &frame, longest, n_iter) < 0:
        return OUT_OF_MEMORY
    _fill_inside(job, <int> (k + 1), &frame, &scratch, longest)
    _find_centre(job, &frame, &scratch, longest)
    if frame.narrow:
        _set_strip_spans(&frame, &scratch)
    if frame.count > 1:
        status = _spread_heat(job, &frame, &scratch, n_iter)
    if status == 0:
        error[0] = _write_flows(job, &frame, &scratch) / frame.count
    _free_scratch(&scratch)
    return status


def diffuse(
    const int[:, :, ::1] pieces, const Py_ssize_t[:, ::1] boxes, const Py_ssize_t[::1] order, Py_ssize_t ndim,
    const double[::1] spacing, Py_ssize_t n_iter, float[:, :, :, ::1] flows, const float[:, :, :, ::1] given,
    double[::1] errors, const int[::1] stop
):
    """Write the flows of the objects ``order`` into ``flows`` or, if that has no room, compare them with ``given``.

    ``pieces`` holds connected objects 1..n, ``boxes[k]`` the first and the past-the-end coordinates of object
    k + 1, ``order`` the objects k to work on, ``spacing`` the distance between pixels per axis in units of the
    smallest, ``n_iter`` the number of iterations or -1 for twice the object's extent. ``errors[k]`` becomes the
    mean squared distance between the flows of object k + 1 and the given ones, where these are compared. Returns
    0, -1 where memory ran out, -2 where it was stopped.
    """
    cdef Py_ssize_t i, axis
    cdef Job job
    cdef int status = 0
    cdef double error = 0.0
    cdef bint compare = flows.shape[0] == 0
    if order.shape[0] == 0:
        return 0
    job.pieces = &pieces[0, 0, 0]
    job.ndim = ndim
    job.n_iter = n_iter
    job.scale = 1.0
    for axis in range(3):
        job.shape[axis] = pieces.shape[axis]
        job.spacing[axis] = spacing[axis]
        job.per_distance[axis] = 1.0 / (spacing[axis] * spacing[axis])
        # A neighbour gets the share 1 / (3 d^2), which leaves 1 - 2 / (3 d^2): 3 d^2 - 2 times as much.
        job.ratio[axis] = 3.0 * spacing[axis] * spacing[axis] - 2.0
        if axis >= 3 - ndim:
            job.scale /= 3.0 * spacing[axis] * spacing[axis]
    job.flows = NULL if compare else &flows[0, 0, 0, 0]
    job.given = &given[0, 0, 0, 0] if compare else NULL
    job.plane = job.shape[0] * job.shape[1] * job.shape[2]
    job.stop = &stop[0]
    with nogil:
        for i in range(order.shape[0]):
            status = _object_flows(&job, boxes, order[i], &error)
            if status < 0:
                break
            if compare:
                errors[order[i]] = error
    return status


def checks_memory():
    """Whether this build checks the memory of the kernels: then the next functions do something."""
    return is_memory_checked()


def use_poison(int byte):
    """Fill what the kernels must not read with this byte from now on, for the tests."""
    choose_poison(byte)


def fail_allocation(long number, bint lasting=False):
    """Make the n-th allocation from now on fail, and those behind it where that lasts, for the tests; 0: none."""
    fail_array(number, lasting)


def count_allocations():
    """Arrays that the kernels have taken, those that they hold, and those given back with changes around them."""
    cdef long taken, held, damaged
    count_arrays(&taken, &held, &damaged)
    return taken, held, damaged


def list_widths():
    """Vector widths, in bits, that this machine can run."""
    return [SWEEPS[i].bits for i in range(count_sweeps())]


def use_width(int bits):
    """Use vectors of this width from now on, for the tests; the results are the same."""
    global sweeps
    cdef int i
    for i in range(count_sweeps()):
        if SWEEPS[i].bits == bits:
            sweeps = &SWEEPS[i]
