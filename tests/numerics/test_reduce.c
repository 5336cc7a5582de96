#include "support.h"

#include "numerics/parallel.h"
#include "numerics/reduce.h"

// Below a lane, whole lanes and rests, more than a run, more runs than parts.
static const size_t shapes[][2] = {{0, 3},    {3, 0},    {1, 1},    {1, 7},     {5, 8},
                                   {3, 4096}, {2, 4097}, {300, 33}, {1, 500000}};

static double plain(const float *a, const float *b, const float *weight, size_t rows, size_t cols,
                    double *size) {
    double sum = *size = 0;
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < cols; ++j) {
            const double term = (weight ? weight[j] : 1.0) * a[i * cols + j] * b[i * cols + j];
            sum += term;
            *size += fabs(term);
        }
    return sum;
}

// Against the loop, with and without weights, in float64; the same bits for any number of threads.
static void dot(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s)
        for (int weighted = 0; weighted < 2; ++weighted) {
            const size_t rows = shapes[s][0], cols = shapes[s][1];
            float *a = normal_floats(rows * cols, 1), *b = normal_floats(rows * cols, 2);
            float *w = weighted ? normal_floats(cols, 3) : NULL;
            double size, want = plain(a, b, w, rows, cols, &size), got = vkd_dot(a, b, w, rows, cols);
            assert_below(fabs(got - want), 1e-12 * size);
#ifdef _OPENMP
            const int threads = omp_get_max_threads();
            for (int i = 1; i <= 5; ++i) {
                omp_set_num_threads(i);
                assert_true(vkd_dot(a, b, w, rows, cols) == got);
            }
            omp_set_num_threads(threads);
#endif
            free(a);
            free(b);
            free(w);
        }
}

static void scaled_columns(void **state) {
    (void)state;
    enum { rows = 3, cols = 11 };
    float *x = normal_floats(rows * cols, 4), *w = normal_floats(cols, 5), y[rows * cols];
    vkd_scale_columns(x, w, rows, cols, y);
    for (int i = 0; i < rows * cols; ++i)
        assert_true(y[i] == w[i % cols] * x[i]);
    vkd_scale_columns(x, w, rows, cols, x); // in place
    assert_memory_equal(x, y, sizeof y);
    free(x);
    free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(dot), cmocka_unit_test(scaled_columns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
