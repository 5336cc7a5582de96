#include "support.h"

#include "numerics/cka.h"
#include "reference/cka.h"

static float *gram(const float *x, int n, int c) {
    float *copy = copy_floats(x, (size_t)n * (size_t)c), *K = floats((size_t)n * (size_t)n);
    vkd_cka_gram(copy, n, c, K);
    free(copy);
    return K;
}

// CKA of one minibatch.
static double cka(const float *x, int cx, const float *y, int cy, int n) {
    float *K = gram(x, n, cx), *L = gram(y, n, cy);
    double value = vkd_cka(vkd_hsic(K, L, n), vkd_hsic(K, K, n), vkd_hsic(L, L, n));
    free(K);
    free(L);
    return value;
}

static void against_the_u_statistic(void **state) {
    (void)state;
    float *K = gram(reference_cka_x, 7, 5), *L = gram(reference_cka_y, 7, 4);
    const double found[] = {vkd_hsic(K, L, 7), vkd_hsic(K, K, 7), vkd_hsic(L, L, 7)};
    for (int i = 0; i < 3; ++i)
        assert_below(fabs(found[i] - reference_hsic[i]) / fabs(reference_hsic[i]) / EPS32, 100);
    free(K);
    free(L);
}

static void of_itself_is_one(void **state) {
    (void)state;
    float *x = normal_floats(60 * 9, 1);
    assert_below(fabs(cka(x, 9, x, 9, 60) - 1), 1e-12);
    free(x);
}

// y = a x R + shift with a rotation R of two columns.
static void rotation_scale_and_shift_change_nothing(void **state) {
    (void)state;
    enum { n = 50, c = 6 };
    float *x = normal_floats(n * c, 2), *z = normal_floats(n * 4, 3), *y = copy_floats(x, n * c);
    for (int i = 0; i < n; ++i) {
        y[i * c] = 0.6f * x[i * c] + 0.8f * x[i * c + 1];
        y[i * c + 1] = 0.8f * x[i * c] - 0.6f * x[i * c + 1];
        for (int j = 0; j < c; ++j)
            y[i * c + j] = 1000 * y[i * c + j] + (float)j * 3000;
        for (int j = 0; j < 4; ++j)
            z[i * 4 + j] += x[i * c + j];
    }
    assert_below(fabs(cka(x, c, y, c, n) - 1), 1e-5);
    assert_below(fabs(cka(x, c, z, 4, n) - cka(y, c, z, 4, n)), 1e-5);
    assert_below(fabs(cka(x, c, z, 4, n) - cka(z, 4, x, c, n)), 1e-12);
    free(x);
    free(y);
    free(z);
}

// Few samples of many channels, where the biased estimate is near 1. The mean over minibatches is near 0.
static void of_independent_features_is_nothing(void **state) {
    (void)state;
    enum { n = 12, c = 40, batches = 200 };
    double kl = 0, kk = 0, ll = 0;
    for (int b = 0; b < batches; ++b) {
        float *x = normal_floats(n * c, 100 + (uint64_t)b), *y = normal_floats(n * c, 900 + (uint64_t)b);
        float *K = gram(x, n, c), *L = gram(y, n, c);
        kl += vkd_hsic(K, L, n);
        kk += vkd_hsic(K, K, n);
        ll += vkd_hsic(L, L, n);
        free(x);
        free(y);
        free(K);
        free(L);
    }
    assert_below(fabs(vkd_cka(kl, kk, ll)), 0.05);
}

static void of_a_constant_is_zero(void **state) {
    (void)state;
    float x[8] = {3, 3, 3, 3, 3, 3, 3, 3}, *y = normal_floats(8, 4);
    assert_true(cka(x, 1, y, 1, 8) == 0);
    assert_true(cka(y, 1, x, 1, 8) == 0);
    assert_true(vkd_cka(1, -1, 1) == 0);
    free(y);
}

static void of_the_fewest_samples(void **state) {
    (void)state;
    float *x = normal_floats(8, 5);
    assert_below(fabs(cka(x, 2, x, 2, VKD_CKA_MIN_SAMPLES) - 1), 1e-5);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_u_statistic),
        cmocka_unit_test(of_itself_is_one),
        cmocka_unit_test(rotation_scale_and_shift_change_nothing),
        cmocka_unit_test(of_independent_features_is_nothing),
        cmocka_unit_test(of_a_constant_is_zero),
        cmocka_unit_test(of_the_fewest_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
