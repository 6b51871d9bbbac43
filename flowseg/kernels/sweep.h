/* The inner loops of heat diffusion: one box mean over part of a frame (see frame.pxi for a drawing).

   Rows of a frame are `stride` doubles apart. The loops are plain C that the compiler turns into vectors. Each is
   compiled for the baseline of the platform and, on x86-64 with GCC or Clang, for AVX2 as well. No sum is reordered and
   no product is fused (see compilers.h), so every width gives the same bits.

   Sums are (left + right) + ratio * middle, so that flips of the image change no bit. `ratio` is 1 for pixels that are
   as high as wide.

   mean:       out = inside * alpha * box(in)
   chebyshev:  out = inside * alpha * box(in) - beta * in - out                                                   */

#ifndef FLOWSEG_SWEEP_H
#define FLOWSEG_SWEEP_H

#include <stddef.h>

#include "compilers.h"

#define STRIP 8         /* columns of a strip of a narrow frame. Source: a cache line of doubles */
#define BLOCK_COLUMNS 4 /* the columns of a volume are swept by so many. Source: the widest vectors hold 4 doubles */
#define N_SUM_ROWS 4    /* rows of sums that the rows of a volume need */

typedef struct {
    double ratio[3];  /* heat that stays, in units of what goes to a neighbor, per axis */
    double alpha;
    double beta;
    int chebyshev;
} Weights;

/* Narrow frames: one strip in the rows first .. stop - 1. Sums of three rows stay in registers. */
FLOWSEG_INLINE void narrow_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                                const float *FLOWSEG_RESTRICT inside, ptrdiff_t stride, ptrdiff_t first,
                                ptrdiff_t stop, const Weights *weights, int chebyshev)
{
    const double down = weights->ratio[1], across = weights->ratio[2], alpha = weights->alpha, beta = weights->beta;
    double above[STRIP], here[STRIP], below[STRIP];
    const double *p = in + (first - 1) * stride;
    ptrdiff_t row;
    int k;
    for (k = 0; k < STRIP; k++) above[k] = (p[k - 1] + p[k + 1]) + across * p[k];
    p += stride;
    for (k = 0; k < STRIP; k++) here[k] = (p[k - 1] + p[k + 1]) + across * p[k];
    out += first * stride;
    inside += first * stride;
    for (row = first; row < stop; row++) {
        p += stride;
        for (k = 0; k < STRIP; k++) below[k] = (p[k - 1] + p[k + 1]) + across * p[k];
        for (k = 0; k < STRIP; k++) {
            double v = ((above[k] + below[k]) + down * here[k]) * alpha * inside[k];
            out[k] = chebyshev ? v - beta * p[k - stride] - out[k] : v;
            above[k] = here[k];
            here[k] = below[k];
        }
        out += stride;
        inside += stride;
    }
}

/* Wide frames: `n` columns of one row; `line` has room for n + 2 doubles. */
FLOWSEG_INLINE void wide_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                              const unsigned char *FLOWSEG_RESTRICT inside, double *FLOWSEG_RESTRICT line,
                              ptrdiff_t stride, ptrdiff_t n, const Weights *weights, int chebyshev)
{
    const double down = weights->ratio[1], across = weights->ratio[2], alpha = weights->alpha, beta = weights->beta;
    ptrdiff_t k;
    for (k = 0; k < n + 2; k++) line[k] = (in[k - 1 - stride] + in[k - 1 + stride]) + down * in[k - 1];
    for (k = 0; k < n; k++) {
        double v = ((line[k] + line[k + 2]) + across * line[k + 1]) * alpha * inside[k];
        out[k] = chebyshev ? v - beta * in[k] - out[k] : v;
    }
}

/* Volumes: which columns of a row to sweep, whole blocks of BLOCK_COLUMNS columns. */
typedef struct {
    int first, stop;         /* from the first to the last pixel of the object; the same number twice: none */
    int first_sum, stop_sum; /* those of the rows before and behind as well: there sums over this row are needed */
} Segment;

/* Volumes: what to sweep of one plane. */
typedef struct {
    const Segment *segments; /* one per row of the plane */
    double *sums;            /* N_SUM_ROWS rows of `room` doubles; all finite */
    ptrdiff_t room;
    ptrdiff_t plane, row;    /* strides */
    ptrdiff_t first, stop;   /* rows */
} Rows;

/* Volumes: `n` columns of one row. Sums over three planes go into `line` and over three columns of these into `below`.
   Unless `out` is NULL, sums over three rows give the means of the row before. Columns beside the object keep their 0,
   whatever the sums there are. */
FLOWSEG_INLINE void row_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                             const float *FLOWSEG_RESTRICT inside, double *FLOWSEG_RESTRICT line,
                             const double *FLOWSEG_RESTRICT above, const double *FLOWSEG_RESTRICT here,
                             double *FLOWSEG_RESTRICT below, const Rows *rows, ptrdiff_t n, const Weights *weights,
                             int chebyshev)
{
    const double through = weights->ratio[0], down = weights->ratio[1], across = weights->ratio[2];
    const double alpha = weights->alpha, beta = weights->beta;
    const ptrdiff_t plane = rows->plane;
    const double *FLOWSEG_RESTRICT p = in - rows->row;
    ptrdiff_t k;
    for (k = 0; k < n + 2; k++) line[k] = (in[k - 1 - plane] + in[k - 1 + plane]) + through * in[k - 1];
    if (out == NULL) {
        for (k = 0; k < n; k++) below[k] = (line[k] + line[k + 2]) + across * line[k + 1];
        return;
    }
    for (k = 0; k < n; k++) {
        double sum = (line[k] + line[k + 2]) + across * line[k + 1];
        double v = ((above[k] + sum) + down * here[k]) * alpha * inside[k];
        below[k] = sum;
        out[k] = chebyshev ? v - beta * p[k] - out[k] : v;
    }
}

/* Volumes: rows of one plane. */
FLOWSEG_INLINE void volume_body(double *out, const double *in, const float *inside, const Rows *rows,
                                const Weights *weights, int chebyshev)
{
    double *line = rows->sums, *above = line + rows->room, *here = above + rows->room, *below = here + rows->room;
    ptrdiff_t row;
    for (row = rows->first - 1; row <= rows->stop; row++) {
        const Segment *segment = &rows->segments[row];
        const ptrdiff_t i = segment->first_sum, before = (row - 1) * rows->row + i;
        const ptrdiff_t n = (segment->stop_sum - i) / BLOCK_COLUMNS * BLOCK_COLUMNS;
        const int writes = row > rows->first && segment[-1].first < segment[-1].stop;
        double *unused = above;
        if (n > 0)
            row_body(writes ? out + before : NULL, in + row * rows->row + i, inside + before, line, above + i, here + i,
                     below + i, rows, n, weights, chebyshev);
        above = here;
        here = below;
        below = unused;
    }
}

#define FLOWSEG_WIDTH(NAME, TARGET)                                                                                   \
    TARGET static void narrow_##NAME(double *out, const double *in, const float *inside, ptrdiff_t stride,            \
                                     ptrdiff_t first, ptrdiff_t stop, const Weights *weights)                         \
    {                                                                                                                 \
        if (weights->chebyshev) narrow_body(out, in, inside, stride, first, stop, weights, 1);                        \
        else narrow_body(out, in, inside, stride, first, stop, weights, 0);                                           \
    }                                                                                                                 \
    TARGET static void wide_##NAME(double *out, const double *in, const unsigned char *inside, double *line,          \
                                   ptrdiff_t stride, ptrdiff_t n, const Weights *weights)                             \
    {                                                                                                                 \
        if (weights->chebyshev) wide_body(out, in, inside, line, stride, n, weights, 1);                              \
        else wide_body(out, in, inside, line, stride, n, weights, 0);                                                 \
    }                                                                                                                 \
    TARGET static void volume_##NAME(double *out, const double *in, const float *inside, const Rows *rows,          \
                                     const Weights *weights)                                                          \
    {                                                                                                                 \
        if (weights->chebyshev) volume_body(out, in, inside, rows, weights, 1);                                      \
        else volume_body(out, in, inside, rows, weights, 0);                                                         \
    }

typedef struct {
    int bits;
    void (*narrow)(double *, const double *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const Weights *);
    void (*wide)(double *, const double *, const unsigned char *, double *, ptrdiff_t, ptrdiff_t, const Weights *);
    void (*volume)(double *, const double *, const float *, const Rows *, const Weights *);
} Sweeps;

FLOWSEG_WIDTH(baseline, )
#ifdef FLOWSEG_HAS_AVX2_BUILD
FLOWSEG_WIDTH(avx2, FLOWSEG_AVX2)
#endif

static const Sweeps SWEEPS[] = {
    {128, narrow_baseline, wide_baseline, volume_baseline},
#ifdef FLOWSEG_HAS_AVX2_BUILD
    {256, narrow_avx2, wide_avx2, volume_avx2},
#endif
};

/* Number of entries of SWEEPS, from the first, that this machine can run. */
static int count_sweeps(void)
{
#ifdef FLOWSEG_HAS_AVX2_BUILD
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? 2 : 1;
#else
    return 1;
#endif
}

#endif
