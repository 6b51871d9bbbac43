/* What compilers write differently. FLOWSEG_SYNTAX says whose syntax is used. It follows from the compiler; the tests set
   it to build without the extensions of the compiler at hand (see `.ci/kernels`). */

#ifndef FLOWSEG_COMPILERS_H
#define FLOWSEG_COMPILERS_H

#define STANDARD_C 0 /* C11 */
#define GNU 1        /* GCC and Clang */
#define MSVC 2       /* and Clang that stands in for it */

#ifndef FLOWSEG_SYNTAX
#if defined(_MSC_VER)
#define FLOWSEG_SYNTAX MSVC
#elif defined(__GNUC__)
#define FLOWSEG_SYNTAX GNU
#else
#define FLOWSEG_SYNTAX STANDARD_C
#endif
#endif

/* No fused multiply-add, for compilers that do not get -ffp-contract=off. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

/* FLOWSEG_INLINE: a function of which every call with constants becomes code of its own. */
#if FLOWSEG_SYNTAX == MSVC
#define FLOWSEG_INLINE static __forceinline
#define FLOWSEG_RESTRICT __restrict
#elif FLOWSEG_SYNTAX == GNU
#define FLOWSEG_INLINE static inline __attribute__((always_inline))
#define FLOWSEG_RESTRICT restrict
#else
#define FLOWSEG_INLINE static inline
#define FLOWSEG_RESTRICT restrict
#endif

/* Functions for AVX2, beside those for every processor of the platform. */
#if FLOWSEG_SYNTAX == GNU && defined(__x86_64__)
#define FLOWSEG_HAS_AVX2_BUILD
#define FLOWSEG_AVX2 __attribute__((target("avx2")))
#endif

/* Counters that several threads change: COUNTER is their type, and both operations return the new value. */
#ifdef FLOWSEG_CHECKED_MEMORY
#if FLOWSEG_SYNTAX == MSVC
#if defined(_MSC_VER)
#include <intrin.h>
#endif
typedef volatile long COUNTER;
#define ADD(counter, n) (_InterlockedExchangeAdd(&(counter), n) + (n))
#elif FLOWSEG_SYNTAX == GNU
typedef long COUNTER;
#define ADD(counter, n) __atomic_add_fetch(&(counter), n, __ATOMIC_SEQ_CST)
#else
#include <stdatomic.h>
typedef atomic_long COUNTER;
#define ADD(counter, n) (atomic_fetch_add(&(counter), n) + (n))
#endif
#define READ(counter) ADD(counter, 0)
#endif

#endif
