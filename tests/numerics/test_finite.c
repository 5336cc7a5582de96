// The inline test must survive a host built with -Ofast: this file is compiled that way.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Ofast")
#endif
#include "support.h"

#include "numerics/finite.h"

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void doubles_by_bits(void **state) {
    (void)state;
    const uint64_t bad[] = {UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
                            UINT64_C(0x7ff0000000000001), UINT64_C(0xfff8000000000000),
                            UINT64_C(0x7fffffffffffffff)};
    const uint64_t good[] = {0,
                             UINT64_C(0x8000000000000000),
                             1,
                             UINT64_C(0x7fefffffffffffff),
                             UINT64_C(0xffefffffffffffff),
                             UINT64_C(0x3ff0000000000000)};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        const double x = double_of(bad[i]);
        assert_false(vkd_is_finite(x));
        assert_false(vkd_all_finite_double(&x, 1));
    }
    for (size_t i = 0; i < COUNT(good); ++i) {
        const double x = double_of(good[i]);
        assert_true(vkd_is_finite(x));
        assert_true(vkd_all_finite_double(&x, 1));
    }
}

static void arithmetic_results(void **state) {
    (void)state;
    volatile double zero = 0, large = 1e308;
    assert_false(vkd_is_finite(zero / zero));
    assert_false(vkd_is_finite(1 / zero));
    assert_false(vkd_is_finite(large * 10));
    assert_true(vkd_is_finite(large));
}

static void one_bad_float_anywhere(void **state) {
    (void)state;
    const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7f800001, 0xffc00000};
    const size_t sizes[] = {1, 7, 1023, 1024, 1025, 3000};
    for (size_t s = 0; s < COUNT(sizes); ++s) {
        const size_t n = sizes[s];
        float *x = normal_floats(n, s);
        x[n / 2] = float_of(0x7f7fffff); // the largest float
        x[0] = float_of(1);              // the smallest
        assert_true(vkd_all_finite(x, n));
        const size_t at[] = {0, n / 2, n - 1};
        for (size_t b = 0; b < COUNT(bad); ++b)
            for (size_t a = 0; a < COUNT(at); ++a) {
                const float keep = x[at[a]];
                memcpy(&x[at[a]], &bad[b], sizeof bad[b]);
                assert_false(vkd_all_finite(x, n));
                x[at[a]] = keep;
            }
        free(x);
    }
    assert_true(vkd_all_finite(NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_by_bits),
        cmocka_unit_test(arithmetic_results),
        cmocka_unit_test(one_bad_float_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
