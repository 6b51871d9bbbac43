/* Memory of the kernels: calloc, malloc and free, in arrays that start on a cache line.

   A build with FLOWSEG_CHECKED_MEMORY (see setup.py) fills memory that does not start as zeros with poison. Bytes of
   0xFF are NaN, -1 or 255, by type; the tests choose other bytes, on which results must not depend. Every array stands
   between two guards of poison and counts as damaged if these have changed when it is released. (With AddressSanitizer
   there are no guards, because it ends the program itself.) Arrays are counted, and any allocation can be made to fail. */

#ifndef FLOWSEG_MEMORY_H
#define FLOWSEG_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compilers.h"

#define CACHE_LINE 64 /* bytes of a cache line: 8 float64, a strip of a frame */
#define SPARE (CACHE_LINE + sizeof(void *))

/* The first cache line in a block that is SPARE bytes larger than needed. The address of the block stands before it. */
static unsigned char *align(void *block)
{
    unsigned char *line;
    if (block == NULL) return NULL;
    line = (unsigned char *)block + SPARE - ((uintptr_t)block + SPARE) % CACHE_LINE;
    memcpy(line - sizeof(void *), &block, sizeof(void *));
    return line;
}

static void free_aligned(unsigned char *line)
{
    void *block;
    memcpy(&block, line - sizeof(void *), sizeof(void *));
    free(block);
}

/* Whether the bytes of an array, with all that stands around it, can be counted. */
static int is_countable(size_t count, size_t size) { return count <= SIZE_MAX / 2 / size; }

#ifndef FLOWSEG_CHECKED_MEMORY

static void *allocate_zeros(size_t count, size_t size)
{
    return is_countable(count, size) ? align(calloc(count * size + SPARE, 1)) : NULL;
}

static void *allocate(size_t count, size_t size)
{
    return is_countable(count, size) ? align(malloc(count * size + SPARE)) : NULL;
}

static void release(void *array)
{
    if (array != NULL) free_aligned(array);
}

static int is_memory_checked(void) { return 0; }
static void set_poison(int byte) { (void)byte; }
static void fail_allocation_at(long number, int lasting) { (void)number, (void)lasting; }
static void count_memory(long *allocated, long *in_use, long *damaged) { *allocated = *in_use = *damaged = 0; }

#else

#define HEADER CACHE_LINE /* bytes before the first guard: the size of the array and its poison */
#if defined(__SANITIZE_ADDRESS__)
#define GUARD 0
#define ALLOCATE_BLOCK malloc /* nothing behind the array */
#define FREE_BLOCK free
#else
#define GUARD 4096 /* bytes: rows of 512 float64 */
#define ALLOCATE_BLOCK(bytes) align(malloc((bytes) + SPARE))
#define FREE_BLOCK free_aligned
#endif

static unsigned char poison = 0xFF;
static COUNTER arrays_allocated, arrays_in_use, arrays_damaged;
static long fail_at, fail_lasting;

static unsigned char *allocate_guarded(size_t count, size_t size)
{
    const long number = ADD(arrays_allocated, 1);
    const size_t bytes = count * size;
    unsigned char *base;
    if (fail_at > 0 && (number == fail_at || (fail_lasting && number > fail_at))) return NULL;
    if (!is_countable(count, size)) return NULL;
    base = ALLOCATE_BLOCK(HEADER + GUARD + bytes + GUARD);
    if (base == NULL) return NULL;
    memcpy(base, &bytes, sizeof bytes);
    base[sizeof bytes] = poison;
    memset(base + HEADER, poison, GUARD + bytes + GUARD);
    ADD(arrays_in_use, 1);
    return base + HEADER + GUARD;
}

static void *allocate(size_t count, size_t size) { return allocate_guarded(count, size); }

static void *allocate_zeros(size_t count, size_t size)
{
    void *array = allocate_guarded(count, size);
    if (array != NULL) memset(array, 0, count * size);
    return array;
}

static void release(void *array)
{
    unsigned char *base;
    size_t bytes, k;
    int damaged = 0;
    if (array == NULL) return;
    base = (unsigned char *)array - HEADER - GUARD;
    memcpy(&bytes, base, sizeof bytes);
    for (k = 0; k < GUARD; k++) {
        damaged |= base[HEADER + k] != base[sizeof bytes];
        damaged |= base[HEADER + GUARD + bytes + k] != base[sizeof bytes];
    }
    if (damaged) ADD(arrays_damaged, 1);
    ADD(arrays_in_use, -1);
    FREE_BLOCK(base);
}

static int is_memory_checked(void) { return 1; }

static void set_poison(int byte) { poison = (unsigned char)byte; }

/* Make the allocation of this number from now on fail, and with `lasting` all after it; 0: none. */
static void fail_allocation_at(long number, int lasting)
{
    fail_at = number > 0 ? READ(arrays_allocated) + number : 0;
    fail_lasting = lasting;
}

static void count_memory(long *allocated, long *in_use, long *damaged)
{
    *allocated = READ(arrays_allocated);
    *in_use = READ(arrays_in_use);
    *damaged = READ(arrays_damaged);
}

#endif
#endif
