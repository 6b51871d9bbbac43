/* Memory of the kernels: calloc, malloc and free, in a build for use. Arrays start on a cache line.

   With FLOWSEG_CHECKED_MEMORY (see setup.py) what does not start as zeros is filled with poison: bytes of 0xFF are NaN,
   -1 or 255, by type; the tests choose others, on which results must not depend. Every array stands between two guards
   of poison; one that has changed when the array is given back counts as damaged. (Under AddressSanitizer there are no
   guards: it ends the program instead.) Arrays are counted, and any of them can be made to fail.                      */

#ifndef FLOWSEG_MEMORY_H
#define FLOWSEG_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64 /* bytes of a cache line: 8 float64, a strip of a frame */
#define SPARE (LINE + sizeof(void *))

/* The first line in a block of SPARE bytes more than are needed; where the block begins stands before it. */
static unsigned char *first_line(void *block)
{
    unsigned char *line;
    if (block == NULL) return NULL;
    line = (unsigned char *)block + SPARE - ((uintptr_t)block + SPARE) % LINE;
    memcpy(line - sizeof(void *), &block, sizeof(void *));
    return line;
}

static void free_block(unsigned char *line)
{
    void *block;
    memcpy(&block, line - sizeof(void *), sizeof(void *));
    free(block);
}

/* Whether so many elements, with all around them, can be counted in bytes. */
static int is_countable(size_t count, size_t size) { return count <= SIZE_MAX / 2 / size; }

#ifndef FLOWSEG_CHECKED_MEMORY

static void *take_zeros(size_t count, size_t size)
{
    return is_countable(count, size) ? first_line(calloc(count * size + SPARE, 1)) : NULL;
}

static void *take_room(size_t count, size_t size)
{
    return is_countable(count, size) ? first_line(malloc(count * size + SPARE)) : NULL;
}

static void give_back(void *array)
{
    if (array != NULL) free_block(array);
}

static int is_memory_checked(void) { return 0; }
static void choose_poison(int byte) { (void)byte; }
static void fail_array(long number, int lasting) { (void)number, (void)lasting; }
static void count_arrays(long *taken, long *held, long *damaged) { *taken = *held = *damaged = 0; }

#else

#define HEADER LINE /* bytes before the first guard: the size of the array and its poison */
#if defined(__SANITIZE_ADDRESS__)
#define GUARD 0
#define TAKE_BLOCK malloc /* not a byte more behind the array */
#define FREE_BLOCK free
#else
#define GUARD 4096 /* bytes: rows of 512 float64 */
#define TAKE_BLOCK(bytes) first_line(malloc((bytes) + SPARE))
#define FREE_BLOCK free_block
#endif

/* Changed by several threads at once: only by what GCC and Clang do in one go. */
static unsigned char poison = 0xFF;
static long arrays_taken, arrays_held, arrays_damaged, fail_at, fail_lasting;

static unsigned char *take(size_t count, size_t size)
{
    const long number = __atomic_add_fetch(&arrays_taken, 1, __ATOMIC_SEQ_CST);
    const size_t bytes = count * size;
    unsigned char *base;
    if (fail_at > 0 && (number == fail_at || (fail_lasting && number > fail_at))) return NULL;
    if (!is_countable(count, size)) return NULL;
    base = TAKE_BLOCK(HEADER + GUARD + bytes + GUARD);
    if (base == NULL) return NULL;
    memcpy(base, &bytes, sizeof bytes);
    base[sizeof bytes] = poison;
    memset(base + HEADER, poison, GUARD + bytes + GUARD);
    __atomic_add_fetch(&arrays_held, 1, __ATOMIC_SEQ_CST);
    return base + HEADER + GUARD;
}

static void *take_room(size_t count, size_t size) { return take(count, size); }

static void *take_zeros(size_t count, size_t size)
{
    void *array = take(count, size);
    if (array != NULL) memset(array, 0, count * size);
    return array;
}

static void give_back(void *array)
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
    if (damaged) __atomic_add_fetch(&arrays_damaged, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&arrays_held, 1, __ATOMIC_SEQ_CST);
    FREE_BLOCK(base);
}

static int is_memory_checked(void) { return 1; }

static void choose_poison(int byte) { poison = (unsigned char)byte; }

/* The array of this number from now on fails, and those behind it where that lasts; 0: none. */
static void fail_array(long number, int lasting)
{
    fail_at = number > 0 ? __atomic_load_n(&arrays_taken, __ATOMIC_SEQ_CST) + number : 0;
    fail_lasting = lasting;
}

static void count_arrays(long *taken, long *held, long *damaged)
{
    *taken = __atomic_load_n(&arrays_taken, __ATOMIC_SEQ_CST);
    *held = __atomic_load_n(&arrays_held, __ATOMIC_SEQ_CST);
    *damaged = __atomic_load_n(&arrays_damaged, __ATOMIC_SEQ_CST);
}

#endif
#endif
