// OpenBLAS on a processor whose model it does not know: made here by telling it an old one.
#define _POSIX_C_SOURCE 200809L
#include "support.h"

#include "numerics/blas_kernels.h"

#include <cblas.h>
#include <stdbool.h>

extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

// What OpenBLAS finds by itself where `name` is NULL.
static void start_openblas(const char *name) {
    if (name)
        setenv("OPENBLAS_CORETYPE", name, 1);
    else
        unsetenv("OPENBLAS_CORETYPE");
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
}

static bool has_avx2(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static void need_choice(void) {
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit || !has_avx2()) skip();
}

static void expect_product(void) {
    enum { n = 70 };
    static float a[n * n], b[n * n], c[n * n];
    for (int i = 0; i < n * n; ++i) {
        a[i] = (float)(i % 7 - 3);
        b[i] = (float)(i % 5 - 2);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            float sum = 0;
            for (int k = 0; k < n; ++k)
                sum += a[i * n + k] * b[k * n + j];
            assert_true(c[i * n + j] == sum); // small integers: no rounding
        }
}

static void unknown_processor(void **state) {
    (void)state;
    need_choice();
    start_openblas("Prescott");
    unsetenv("OPENBLAS_CORETYPE");
    assert_string_equal(vkd_blas_kernels(), "Prescott");
    expect_product();
    vkd_blas_choose_kernels();
    assert_true(!strcmp(vkd_blas_kernels(), "Haswell") || !strcmp(vkd_blas_kernels(), "SkylakeX"));
    assert_null(getenv("OPENBLAS_CORETYPE"));
    expect_product();
}

static void choice_of_the_user(void **state) {
    (void)state;
    need_choice();
    start_openblas("Prescott"); // and the variable stays
    vkd_blas_choose_kernels();
    assert_string_equal(vkd_blas_kernels(), "Prescott");
}

static void known_processor(void **state) {
    (void)state;
    need_choice();
    start_openblas("Zen");
    unsetenv("OPENBLAS_CORETYPE");
    vkd_blas_choose_kernels();
    assert_string_equal(vkd_blas_kernels(), "Zen");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_processor),
        cmocka_unit_test(choice_of_the_user),
        cmocka_unit_test(known_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
