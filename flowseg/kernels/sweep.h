/* The inner loops of heat diffusion: one box mean over part of a frame, in every vector width that pays.

   A frame is an object's box with a rim of zeros around it. Rows are `stride` doubles apart and their object columns
   start at a multiple of STRIP, so that a strip never begins outside the array. The loops are plain C that the compiler
   turns into vectors; each is compiled for the baseline of the platform and, on x86-64, for AVX2 as well. No sum is
   reordered and no product is fused (the build passes -ffp-contract=off), so every width gives the same bits.

   Sums go (left + right) + ratio * middle: the same under flips. `ratio` is 1 for pixels as high as wide.

   mean:       out = inside * alpha * box(in)
   chebyshev:  out = inside * alpha * box(in) - beta * in - out                                                   */

#ifndef FLOWSEG_SWEEP_H
#define FLOWSEG_SWEEP_H

#include <stddef.h>

#define STRIP 8

#if defined(_MSC_VER)
#pragma fp_contract(off)
#define FLOWSEG_INLINE static __forceinline
#define FLOWSEG_RESTRICT __restrict
#else
#define FLOWSEG_INLINE static inline __attribute__((always_inline))
#define FLOWSEG_RESTRICT restrict
#endif

typedef struct {
    double ratio[3];  /* share of heat that stays, in units of what goes to a neighbour, per axis */
    double alpha;
    double beta;
    int chebyshev;
} Recipe;

/* A strip of STRIP columns from row `first` to `stop`, sums of rows kept in registers: for frames in the first cache. */
FLOWSEG_INLINE void narrow_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                                const float *FLOWSEG_RESTRICT inside, ptrdiff_t stride, ptrdiff_t first,
                                ptrdiff_t stop, const Recipe *recipe, int chebyshev)
{
    const double down = recipe->ratio[1], across = recipe->ratio[2], alpha = recipe->alpha, beta = recipe->beta;
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

/* `n` columns of one row; `line` holds n + 2 doubles: for frames that outgrow the first cache. */
FLOWSEG_INLINE void wide_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                              const unsigned char *FLOWSEG_RESTRICT inside, double *FLOWSEG_RESTRICT line,
                              ptrdiff_t stride, ptrdiff_t n, const Recipe *recipe, int chebyshev)
{
    const double down = recipe->ratio[1], across = recipe->ratio[2], alpha = recipe->alpha, beta = recipe->beta;
    ptrdiff_t k;
    for (k = 0; k < n + 2; k++) line[k] = (in[k - 1 - stride] + in[k - 1 + stride]) + down * in[k - 1];
    for (k = 0; k < n; k++) {
        double v = ((line[k] + line[k + 2]) + across * line[k + 1]) * alpha * inside[k];
        out[k] = chebyshev ? v - beta * in[k] - out[k] : v;
    }
}

/* The same for a volume: `sums` holds the box sums of one row in three consecutive planes. */
FLOWSEG_INLINE void join_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                              const unsigned char *FLOWSEG_RESTRICT inside, const double *FLOWSEG_RESTRICT before,
                              const double *FLOWSEG_RESTRICT here, const double *FLOWSEG_RESTRICT after,
                              ptrdiff_t n, const Recipe *recipe, int chebyshev)
{
    const double through = recipe->ratio[0], alpha = recipe->alpha, beta = recipe->beta;
    ptrdiff_t k;
    for (k = 0; k < n; k++) {
        double v = ((before[k] + after[k]) + through * here[k]) * alpha * inside[k];
        out[k] = chebyshev ? v - beta * in[k] - out[k] : v;
    }
}

/* Box sums of `n` columns of one row of one plane. */
FLOWSEG_INLINE void sum_body(double *FLOWSEG_RESTRICT out, const double *FLOWSEG_RESTRICT in,
                             double *FLOWSEG_RESTRICT line, ptrdiff_t stride, ptrdiff_t n, const Recipe *recipe)
{
    const double down = recipe->ratio[1], across = recipe->ratio[2];
    ptrdiff_t k;
    for (k = 0; k < n + 2; k++) line[k] = (in[k - 1 - stride] + in[k - 1 + stride]) + down * in[k - 1];
    for (k = 0; k < n; k++) out[k] = (line[k] + line[k + 2]) + across * line[k + 1];
}

#define FLOWSEG_WIDTH(NAME, TARGET)                                                                                   \
    TARGET static void narrow_##NAME(double *out, const double *in, const float *inside, ptrdiff_t stride,            \
                                     ptrdiff_t first, ptrdiff_t stop, const Recipe *recipe)                           \
    {                                                                                                                 \
        if (recipe->chebyshev) narrow_body(out, in, inside, stride, first, stop, recipe, 1);                          \
        else narrow_body(out, in, inside, stride, first, stop, recipe, 0);                                            \
    }                                                                                                                 \
    TARGET static void wide_##NAME(double *out, const double *in, const unsigned char *inside, double *line,          \
                                   ptrdiff_t stride, ptrdiff_t n, const Recipe *recipe)                               \
    {                                                                                                                 \
        if (recipe->chebyshev) wide_body(out, in, inside, line, stride, n, recipe, 1);                                \
        else wide_body(out, in, inside, line, stride, n, recipe, 0);                                                  \
    }                                                                                                                 \
    TARGET static void join_##NAME(double *out, const double *in, const unsigned char *inside, const double *before,  \
                                   const double *here, const double *after, ptrdiff_t n, const Recipe *recipe)        \
    {                                                                                                                 \
        if (recipe->chebyshev) join_body(out, in, inside, before, here, after, n, recipe, 1);                         \
        else join_body(out, in, inside, before, here, after, n, recipe, 0);                                           \
    }                                                                                                                 \
    TARGET static void sum_##NAME(double *out, const double *in, double *line, ptrdiff_t stride, ptrdiff_t n,         \
                                  const Recipe *recipe)                                                               \
    {                                                                                                                 \
        sum_body(out, in, line, stride, n, recipe);                                                                   \
    }

typedef struct {
    int bits;
    void (*narrow)(double *, const double *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const Recipe *);
    void (*wide)(double *, const double *, const unsigned char *, double *, ptrdiff_t, ptrdiff_t, const Recipe *);
    void (*join)(double *, const double *, const unsigned char *, const double *, const double *, const double *,
                 ptrdiff_t, const Recipe *);
    void (*sum)(double *, const double *, double *, ptrdiff_t, ptrdiff_t, const Recipe *);
} Sweeps;

FLOWSEG_WIDTH(baseline, )
#if defined(__GNUC__) && defined(__x86_64__)
#define FLOWSEG_HAS_AVX2_BUILD
FLOWSEG_WIDTH(avx2, __attribute__((target("avx2"))))
#endif

static const Sweeps SWEEPS[] = {
    {128, narrow_baseline, wide_baseline, join_baseline, sum_baseline},
#ifdef FLOWSEG_HAS_AVX2_BUILD
    {256, narrow_avx2, wide_avx2, join_avx2, sum_avx2},
#endif
};

/* How many of SWEEPS this machine can run. */
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
