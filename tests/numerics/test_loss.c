#include "support.h"

#include "numerics/loss.h"
#include "reference/loss.h"

#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct loss {
    double (*forward)(const float *, const float *, const float *, size_t, size_t);
    void (*backward)(const float *, const float *, const float *, size_t, size_t, float, float *);
    double (*plain)(double);
    const double *value;
    const float *gradient;
} loss;

static double plain_l2(double e) {
    return e * e;
}

static double plain_smooth_l1(double e) {
    return fabs(e) < 1 ? 0.5 * e * e : fabs(e) - 0.5;
}

static const loss losses[] = {
    {vkd_l2_forward, vkd_l2_backward, plain_l2, reference_l2, reference_l2_gradient},
    {vkd_smooth_l1_forward, vkd_smooth_l1_backward, plain_smooth_l1, reference_smooth_l1,
     reference_smooth_l1_gradient},
};

static void against_torch(void **state) {
    (void)state;
    const size_t n = COUNT(reference_prediction);
    float d[COUNT(reference_prediction)];
    for (size_t l = 0; l < COUNT(losses); ++l) {
        const double value = losses[l].forward(reference_prediction, reference_target, NULL, 4, n / 4);
        assert_below(fabs(value / *losses[l].value - 1) / EPS64, 30);
        losses[l].backward(reference_prediction, reference_target, NULL, 4, n / 4, 1, d);
        assert_below(relative_floats(d, losses[l].gradient, n) / EPS32, 1);
    }
}

static const size_t sizes[] = {0, 1, 7, 63, 64, 65, 513, 100003};

// Every partition and remainder against the one-line sum; the same bits for any number of threads.
static void sums(void **state) {
    (void)state;
    for (size_t l = 0; l < COUNT(losses); ++l)
        for (size_t s = 0; s < COUNT(sizes); ++s) {
            const size_t n = sizes[s];
            float *p = normal_floats(n, 1), *t = normal_floats(n, 2);
            double want = 0;
            for (size_t i = 0; i < n; ++i)
                want += losses[l].plain((double)p[i] - t[i]);
            const double value = losses[l].forward(p, t, NULL, 1, n);
            assert_below(fabs(value - want), 1e-12 * want);
#ifdef _OPENMP
            const int threads = omp_get_max_threads();
            for (int i = 1; i <= 5; ++i) {
                omp_set_num_threads(i);
                assert_true(losses[l].forward(p, t, NULL, 1, n) == value);
            }
            omp_set_num_threads(threads);
#endif
            free(p);
            free(t);
        }
}

// Central differences of the float64 sum, and <J v, w> = <v, J'w> with w the scale.
static void gradients(void **state) {
    (void)state;
    const size_t n = 300;
    const double h = 1e-4, scale = -0.3;
    float *p = normal_floats(n, 3), *t = normal_floats(n, 4), *v = normal_floats(n, 5), *d = floats(n);
    p[0] = t[0] = 2; // at the minimum
    for (size_t l = 0; l < COUNT(losses); ++l) {
        losses[l].backward(p, t, NULL, 3, n / 3, (float)scale, d);
        double *want = doubles(n), jv = 0;
        for (size_t i = 0; i < n; ++i) {
            const double e = (double)p[i] - t[i];
            want[i] = scale * (losses[l].plain(e + h) - losses[l].plain(e - h)) / (2 * h);
            jv += (losses[l].plain(e + h * v[i]) - losses[l].plain(e - h * v[i])) / (2 * h);
        }
        assert_true(d[0] == 0);
        assert_below(relative_mixed(d, want, n), h * h + 2 * EPS32);
        const double size = norm_floats(d, n) * norm_floats(v, n);
        assert_below(fabs(scale * jv - dot_floats(d, v, n)) / size, h * h + 2 * EPS32);
        float *in_place = copy_floats(p, n);
        losses[l].backward(in_place, t, NULL, 3, n / 3, (float)scale, in_place);
        assert_memory_equal(in_place, d, n * sizeof *d);
        free(in_place);
        free(want);
    }
    free(p);
    free(t);
    free(v);
    free(d);
}

// A weight for each column: the sum and the gradient of the columns repeated so often.
static void weighted_columns(void **state) {
    (void)state;
    enum { rows = 5, cols = 13 };
    float *p = normal_floats(rows * cols, 6), *t = normal_floats(rows * cols, 7), weight[cols];
    float *d = floats(rows * cols), *plain = floats(rows * cols);
    for (int j = 0; j < cols; ++j)
        weight[j] = (float)(j % 4);
    for (size_t l = 0; l < COUNT(losses); ++l) {
        double want = 0;
        for (int i = 0; i < rows * cols; ++i)
            want += weight[i % cols] * losses[l].plain((double)p[i] - t[i]);
        assert_below(fabs(losses[l].forward(p, t, weight, rows, cols) / want - 1), 1e-14);
        losses[l].backward(p, t, NULL, rows, cols, 2, plain);
        losses[l].backward(p, t, weight, rows, cols, 2, d);
        for (int i = 0; i < rows * cols; ++i)
            plain[i] *= weight[i % cols];
        assert_below(relative_floats(d, plain, rows * cols) / EPS32, 1);
    }
    free(p);
    free(t);
    free(d);
    free(plain);
}

static void nan_is_not_hidden(void **state) {
    (void)state;
    float p[] = {1, NAN, 3}, t[] = {0, 0, 0}, d[3];
    for (size_t l = 0; l < COUNT(losses); ++l) {
        assert_true(isnan(losses[l].forward(p, t, NULL, 1, 3)));
        losses[l].backward(p, t, NULL, 1, 3, 1, d);
        assert_true(isnan(d[1]) && isfinite(d[0]) && isfinite(d[2]));
    }
}

// A million equal terms: float32 accumulation would be off by 1e-2 here.
static void accumulates_in_float64(void **state) {
    (void)state;
    const size_t n = 1000000;
    float *p = floats(n), *t = floats(n);
    for (size_t i = 0; i < n; ++i)
        p[i] = 0.1f;
    const double square = (double)0.1f * 0.1f;
    assert_below(fabs(vkd_l2_forward(p, t, NULL, 1, n) / (n * square) - 1), 1e-12);
    assert_below(fabs(vkd_smooth_l1_forward(p, t, NULL, 1, n) / (n * square / 2) - 1), 1e-12);
    free(p);
    free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_torch),     cmocka_unit_test(sums),
        cmocka_unit_test(gradients),         cmocka_unit_test(weighted_columns),
        cmocka_unit_test(nan_is_not_hidden), cmocka_unit_test(accumulates_in_float64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
