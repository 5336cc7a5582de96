// Statistics and normalisations: every kernel against its twin on the CPU.
#include "bench.h"

#include "gpu/norm_kernels.h"
#include "gpu/step_kernels.h"
#include "numerics/normalize.h"
#include "numerics/whiten.h"

// Channels of unlike means and scales, the last one constant where there are three.
static float *channels(int rows, int samples, uint64_t seed) {
    float *x = normal_floats((size_t)rows * samples, seed);
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < samples; ++j) {
            float *at = &x[i * samples + j];
            *at = rows > 2 && i == rows - 1 ? 3 : *at * (float)(1 + i) + 10 * (float)i - 3;
        }
    return x;
}

static void statistics(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < COUNT(matrix_shapes); ++i) {
        int rows = matrix_shapes[i][0], samples = matrix_shapes[i][1];
        size_t size = (size_t)rows * samples, n = (size_t)rows, second = n * n;
        float *x = channels(rows, samples, i), *from = give(&b, x, size);
        double *mean = doubles(n), *variance = doubles(n), *cov = doubles(second);
        double *work = doubles(vkd_covariance_workspace(rows));
        double *mean_there = zeroes(&b, n * sizeof(double)),
               *second_there = zeroes(&b, second * sizeof(double));
        int *bad = zeroes(&b, sizeof *bad);
        double scale = fmax(1, 200.0 * rows * rows);
        vkd_channel_moments(x, 1, rows, samples, mean, variance);
        vkd_gpu_moments(b.launch, from, rows, samples, mean_there, second_there, bad);
        check_near_doubles(&b, mean_there, mean, n, 100 * EPS64 * scale);
        check_near_doubles(&b, second_there, variance, n, 100 * EPS64 * scale);

        assert_ok(vkd_covariance(x, 1, rows, samples, mean, cov, work));
        float *run = give(&b, NULL, n * 5), *gram = give(&b, NULL, second);
        for (int begin = 0; begin < samples; begin += 5) {
            int width = samples - begin < 5 ? samples - begin : 5;
            vkd_gpu_centre_run(b.launch, from, rows, samples, begin, width, mean_there, run);
            vkd_device_syrk(b.device, rows, width, run, width, gram, rows);
            vkd_gpu_add_gram(b.launch, gram, rows, samples, begin == 0, second_there, bad);
        }
        check_near_doubles(&b, second_there, cov, second, 10 * EPS32 * scale);
        assert_int_equal(flag_of(&b, bad), 0);
        void *all[] = {x, mean, variance, cov, work};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

static void normalisations(void **state) {
    (void)state;
    const float eps = 1e-5f;
    EACH_LAUNCH(b) for (size_t i = 0; i < COUNT(matrix_shapes); ++i) {
        int rows = matrix_shapes[i][0], samples = matrix_shapes[i][1], *bad = zeroes(&b, sizeof *bad);
        size_t size = (size_t)rows * samples, scales = (size_t)(rows > samples ? rows : samples);
        float *x = channels(rows, samples, i), *d = normal_floats(size, i + 50), *y = floats(size);
        float *mean = floats(scales), *inv_std = floats(scales), *expected = floats(size);
        float *x_there = give(&b, x, size), *d_there = give(&b, d, size),
              *scales_there = give(&b, NULL, scales);
        // A constant row has what rounding leaves of a gradient, times 1 / sqrt(eps).
        double slack = 100 * (norm_floats(d, size) + 1) * 300;

        vkd_standardize_forward(x, 1, rows, samples, eps, y, mean, inv_std);
        vkd_standardize_backward(d, y, inv_std, 1, rows, samples, expected);
        vkd_gpu_standardize(b.launch, x_there, rows, samples, eps, scales_there);
        check_near(&b, x_there, y, size, 8);
        check_near(&b, scales_there, inv_std, (size_t)rows, 8);
        vkd_gpu_standardize_adjoint(b.launch, d_there, x_there, scales_there, rows, samples, bad);
        float *got = floats_of_device(b.device, d_there, size);
        assert_near(got, expected, size, slack, 1);

        vkd_layernorm_forward(x, 1, rows, samples, eps, y, inv_std);
        vkd_layernorm_backward(d, y, inv_std, 1, rows, samples, expected);
        set_on_device(b.device, x_there, x, size * sizeof *x);
        set_on_device(b.device, d_there, d, size * sizeof *d);
        vkd_gpu_layernorm(b.launch, x_there, rows, samples, eps, scales_there, bad);
        check_near(&b, x_there, y, size, 8);
        check_near(&b, scales_there, inv_std, (size_t)samples, 8);
        vkd_gpu_layernorm_adjoint(b.launch, d_there, x_there, scales_there, rows, samples, bad);
        read_device(b.device, got, d_there, size * sizeof *got);
        assert_near(got, expected, size, slack, 1);

        vkd_normalize_apply(x, 1, rows, samples, mean, d, y);
        set_on_device(b.device, x_there, x, size * sizeof *x);
        vkd_gpu_normalize(b.launch, x_there, rows, samples, give(&b, mean, (size_t)rows),
                          give(&b, d, (size_t)rows), bad);
        check_near(&b, x_there, y, size, 2);
        assert_int_equal(flag_of(&b, bad), 0);
        void *all[] = {x, d, y, mean, inv_std, expected, got};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

// A NaN or an infinity anywhere is seen by each that looks for it.
static void what_is_not_finite(void **state) {
    (void)state;
    const float bads[] = {NAN, INFINITY, -INFINITY};
    const int rows = 5, samples = 9;
    EACH_LAUNCH(b) for (int at = 0; at < rows * samples; ++at) {
        float *x = normal_floats((size_t)rows * samples, 3), one[9];
        for (int i = 0; i < 9; ++i)
            one[i] = 1;
        float *ones = give(&b, one, 9), *scales = give(&b, NULL, 9), *y = give(&b, x, 45);
        double *sums = zeroes(&b, 5 * sizeof(double)), *squares = zeroes(&b, 5 * sizeof(double));
        x[at] = bads[at % 3];
        float *from = give(&b, x, 45);
        int *bad = zeroes(&b, sizeof *bad);
        vkd_device_state *gain = state_with(&b, (vkd_device_state){.gain = 2});
        for (int kernel = 0; kernel < 7; ++kernel) {
            set_on_device(b.device, bad, &(int){0}, sizeof *bad);
            set_on_device(b.device, from, x, 45 * sizeof *x);
            if (kernel == 0) vkd_gpu_check(b.launch, from, 45, bad);
            if (kernel == 1) vkd_gpu_moments(b.launch, from, rows, samples, sums, squares, bad);
            if (kernel == 2) vkd_gpu_normalize(b.launch, from, rows, samples, ones, NULL, bad);
            if (kernel == 3) vkd_gpu_layernorm(b.launch, from, rows, samples, 1, scales, bad);
            if (kernel == 4) vkd_gpu_layernorm_adjoint(b.launch, from, y, ones, rows, samples, bad);
            if (kernel == 5) vkd_gpu_standardize_adjoint(b.launch, from, y, ones, rows, samples, bad);
            if (kernel == 6) vkd_gpu_gain_adjoint(b.launch, gain, from, y, 45, parts(&b), bad);
            assert_int_equal(flag_of(&b, bad), 1);
        }
        free(x);
        drop(&b);
    }
}

// A plain mean until the limit; nothing of a batch that is not finite.
static void running_averages(void **state) {
    (void)state;
    EACH_LAUNCH(b) {
        double value[11], expected[11] = {0};
        vkd_device_state *s = zeroes(&b, sizeof *s);
        double *there = zeroes(&b, sizeof value), *average = zeroes(&b, sizeof expected);
        for (int batch = 0; batch < 8; ++batch) {
            double m = batch < 3 ? batch / (batch + 1.0) : 0.75;
            for (int i = 0; i < 11; ++i) {
                value[i] = i + batch * batch;
                if (batch != 5) expected[i] = m * expected[i] + (1 - m) * value[i];
            }
            set_on_device(b.device, there, value, sizeof value);
            vkd_gpu_begin(b.launch, s, false);
            if (batch == 5) vkd_gpu_fail(b.launch, s, true);
            vkd_gpu_blend(b.launch, s, 0.75, 11, there, average);
            vkd_gpu_count_batch(b.launch, s);
            check_near_doubles(&b, average, expected, 11, 1e-13);
        }
        float offset[11], inv_std[11], *offset_there = give(&b, NULL, 11),
                                       *inv_std_there = give(&b, NULL, 11);
        vkd_gpu_begin(b.launch, s, false);
        vkd_gpu_make_scales(b.launch, s, 11, average, there, 0.5, offset_there, inv_std_there);
        for (int i = 0; i < 11; ++i) {
            offset[i] = (float)expected[i];
            inv_std[i] = (float)(1 / sqrt(value[i] + 0.5));
        }
        check_near(&b, offset_there, offset, 11, 1);
        check_near(&b, inv_std_there, inv_std, 11, 1);
        vkd_device_state got;
        read_device(b.device, &got, s, sizeof got);
        assert_int_equal(got.batches, 7);
    }
}

// Second moments about means that move: of n variances or a covariance.
static void running_second_moments(void **state) {
    (void)state;
    enum { n = 5 };
    EACH_LAUNCH(b) for (int whiten = 0; whiten < 2; ++whiten) {
        const int count = whiten ? n * n : n;
        double mean[n], old[n], value[n * n], expected[n * n], keep = 0.75;
        vkd_device_state *s = zeroes(&b, sizeof *s);
        double *mean_there = zeroes(&b, sizeof mean), *old_there = zeroes(&b, sizeof old);
        double *there = zeroes(&b, sizeof value), *average = zeroes(&b, sizeof expected);
        for (int i = 0; i < n; ++i) {
            mean[i] = i * i;
            old[i] = 7 - 3 * i;
        }
        for (int i = 0; i < n * n; ++i) {
            value[i] = i + 1;
            expected[i] = 2 * i;
        }
        set_on_device(b.device, mean_there, mean, sizeof mean);
        set_on_device(b.device, old_there, old, sizeof old);
        set_on_device(b.device, there, value, sizeof value);
        set_on_device(b.device, average, expected, sizeof expected);
        for (int batch = 0; batch < 3; ++batch) {
            double m = batch / (batch + 1.0);
            vkd_gpu_begin(b.launch, s, false);
            if (batch == 1) vkd_gpu_fail(b.launch, s, true);
            vkd_gpu_blend_second(b.launch, s, keep, n, whiten, mean_there, old_there, there, average);
            if (batch == 1) {
                vkd_gpu_begin(b.launch, s, false);
                vkd_gpu_count_batch(b.launch, s); // of its number, though nothing of it counts
            } else {
                for (int at = 0; at < count; ++at) {
                    int i = whiten ? at / n : at, j = whiten ? at % n : at;
                    expected[at] = m * expected[at] + (1 - m) * value[at] +
                                   m * (1 - m) * (mean[i] - old[i]) * (mean[j] - old[j]);
                }
                vkd_gpu_count_batch(b.launch, s);
            }
            check_near_doubles(&b, average, expected, (size_t)count, 1e-13);
        }
    }
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics),
        cmocka_unit_test(normalisations),
        cmocka_unit_test(what_is_not_finite),
        cmocka_unit_test(running_averages),
        cmocka_unit_test(running_second_moments),
    };
    return cmocka_run_group_tests_name("norm_kernels", tests, NULL, NULL);
}
