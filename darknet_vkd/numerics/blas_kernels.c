#define _POSIX_C_SOURCE 200809L
#include "numerics/blas_kernels.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char variable[] = "OPENBLAS_CORETYPE";

// OpenBLAS's own start, which reads the variable; not in its header, and only in builds with kernels for
// several processors. There is no other way to choose after the program has been loaded.
extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

const char *vkd_blas_kernels(void) {
    return openblas_get_corename();
}

// What OpenBLAS falls back to on x86-64: for a model it does not know, or one whose instructions it does not
// see.
static bool are_old(const char *kernels) {
    static const char *const old[] = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge"};
    for (size_t i = 0; i < sizeof old / sizeof *old; ++i)
        if (!strcmp(kernels, old[i])) return true;
    return false;
}

// NULL: nothing newer than what OpenBLAS falls back to.
static const char *best_of_processor(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx2) return avx512 ? "SkylakeX" : "Haswell";
#endif
    return NULL;
}

void vkd_blas_choose_kernels(void) {
    const char *best = best_of_processor();
    if (!best || getenv(variable) || !gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
    if (!are_old(vkd_blas_kernels()) || setenv(variable, best, 1)) return;
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(variable); // it was not the user's
}
