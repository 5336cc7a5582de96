#include "support.h"

#include "reference/rng.h"

static void reference_vectors(void **state) {
    (void)state;
    vkd_rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < COUNT(reference_state_1234); ++i)
        assert_true(vkd_rng_next(&r) == reference_state_1234[i]);
    vkd_rng_seed(&r, 7, 11, 13);
    for (size_t i = 0; i < COUNT(reference_seed_7_11_13); ++i)
        assert_true(vkd_rng_next(&r) == reference_seed_7_11_13[i]);
}

// Neighbours and swaps of (seed, stream, index) share nothing: no word occurs twice.
static int compare_words(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void triples_are_independent(void **state) {
    (void)state;
    enum { SIDE = 12, WORDS = SIDE * SIDE * SIDE * 4 };
    uint64_t *words = alloc(WORDS, sizeof *words);
    size_t count = 0;
    for (uint64_t a = 0; a < SIDE; ++a)
        for (uint64_t b = 0; b < SIDE; ++b)
            for (uint64_t c = 0; c < SIDE; ++c) {
                vkd_rng r;
                vkd_rng_seed(&r, a, b, c);
                for (int i = 0; i < 4; ++i)
                    words[count++] = vkd_rng_next(&r);
            }
    qsort(words, WORDS, sizeof *words, compare_words);
    for (size_t i = 1; i < WORDS; ++i)
        assert_true(words[i] != words[i - 1]);
    free(words);
}

// First draws of successive indices, as a caller who seeds per batch uses them.
static void uniform_moments_across_seeds(void **state) {
    (void)state;
    const int n = 200000;
    double sum = 0, squares = 0, product = 0, last = 0.5;
    for (int i = 0; i < n; ++i) {
        vkd_rng r;
        vkd_rng_seed(&r, 1, 2, (uint64_t)i);
        const double u = vkd_rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum += u - 0.5;
        squares += (u - 0.5) * (u - 0.5);
        product += (u - 0.5) * (last - 0.5);
        last = u;
    }
    // Five standard deviations of each statistic.
    assert_below(fabs(sum / n), 5 * sqrt(1 / 12. / n));
    assert_below(fabs(squares / n - 1 / 12.), 5 * sqrt(1 / 180. / n));
    assert_below(fabs(product / n), 5 * sqrt(1 / 144. / n));
}

static void normal_moments(void **state) {
    (void)state;
    const int n = 400000;
    vkd_rng r;
    vkd_rng_seed(&r, 3, 1, 4);
    double m[5] = {0};
    for (int i = 0; i < n; ++i) {
        const double x = vkd_rng_normal(&r);
        assert_true(isfinite(x));
        for (int p = 1; p <= 4; ++p)
            m[p] += pow(x, p) / n;
    }
    assert_below(fabs(m[1]), 5 * sqrt(1. / n));
    assert_below(fabs(m[2] - 1), 5 * sqrt(2. / n));
    assert_below(fabs(m[3]), 5 * sqrt(15. / n));
    assert_below(fabs(m[4] - 3), 5 * sqrt(96. / n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_vectors),
        cmocka_unit_test(triples_are_independent),
        cmocka_unit_test(uniform_moments_across_seeds),
        cmocka_unit_test(normal_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
