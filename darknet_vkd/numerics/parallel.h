// Loops spread over threads where the compiler has OpenMP, plain loops elsewhere. Every user gives
// each iteration its own output, so results do not depend on the number of threads.
#ifndef VKD_NUMERICS_PARALLEL_H
#define VKD_NUMERICS_PARALLEL_H

#ifdef _OPENMP
#include <omp.h>
#define VKD_PRAGMA(text) _Pragma(#text)
#define VKD_PARALLEL_FOR _Pragma("omp parallel for schedule(static)")
#define VKD_PARALLEL_FOR_ON(count) VKD_PRAGMA(omp parallel for schedule(dynamic) num_threads(count))
// For a loop that may be short: waking a thread costs as much as some ten thousand values.
#define VKD_PARALLEL_FOR_VALUES(count) VKD_PRAGMA(omp parallel for schedule(static) if ((count) >= 1 << 15))
// A sum whose terms may be added in another order, several at a time.
#define VKD_SIMD_SUM(sum) VKD_PRAGMA(omp simd reduction(+ : sum)) // NOLINT(bugprone-macro-parentheses)
#else
#define VKD_PARALLEL_FOR
#define VKD_PARALLEL_FOR_ON(count)     (void)(count);
#define VKD_PARALLEL_FOR_VALUES(count) (void)(count);
#define VKD_SIMD_SUM(sum)
#endif

// Threads there are, and the calling one's number below VKD_PARALLEL_FOR_ON.
static inline int vkd_threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static inline int vkd_thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// How many threads the calling one's loops and products take from here on; returns how many they took.
// OpenBLAS built with OpenMP follows it.
static inline int vkd_limit_threads(int count) {
    const int old = vkd_threads();
#ifdef _OPENMP
    if (old != count) omp_set_num_threads(count);
#else
    (void)count;
#endif
    return old;
}

#endif
