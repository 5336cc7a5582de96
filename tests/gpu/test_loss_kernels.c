// Sums, losses and products: every kernel against its twin on the CPU.
#include "bench.h"

#include "gpu/loss_kernels.h"
#include "gpu/norm_kernels.h"
#include "numerics/loss.h"
#include "numerics/reduce.h"

static void sums_and_losses(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < 2 * COUNT(matrix_shapes); ++i) {
        int rows = matrix_shapes[i / 2][0], samples = matrix_shapes[i / 2][1];
        size_t size = (size_t)rows * samples, r = (size_t)rows, cols = (size_t)samples;
        float *x = normal_floats(size, i), *u = normal_floats(size, i + 20), *expected = floats(size);
        float *s = i % 2 ? normal_floats(cols, i + 40) : NULL, *roots = floats(cols);
        for (size_t j = 0; s && j < cols; ++j)
            roots[j] = sqrtf(s[j] = s[j] * s[j]);
        float *x_there = give(&b, x, size), *u_there = give(&b, u, size), *w_there = give(&b, NULL, size);
        float *s_there = s ? give(&b, s, cols) : NULL;
        double *loss = parts(&b), *stretch = parts(&b), own = vkd_dot(x, x, s, r, cols);
        double bound = 8 * EPS32 * (own + vkd_dot(u, u, s, r, cols));

        vkd_gpu_squares(b.launch, x_there, size, false, loss);
        vkd_gpu_squares(b.launch, u_there, size, true, loss);
        assert_below(fabs(sum_of_parts(b.device, loss) - dot_floats(x, x, size) - dot_floats(u, u, size)),
                     EPS32 * size);

        for (int smooth = 0; smooth < 2; ++smooth) {
            double sum = (smooth ? vkd_smooth_l1_forward : vkd_l2_forward)(x, u, s, r, cols);
            (smooth ? vkd_smooth_l1_backward : vkd_l2_backward)(x, u, s, r, cols, 1, expected);
            set_on_device(b.device, w_there, x, size * sizeof *x);
            vkd_gpu_residual(b.launch, w_there, u_there, rows, samples, smooth, s_there, loss, stretch);
            check_near(&b, w_there, expected, size, 2);
            assert_below(fabs(sum_of_parts(b.device, loss) - sum), bound);
            assert_below(fabs(sum_of_parts(b.device, stretch) - own), bound);
        }
        // With U for T the l2 loss but for |t|^2, and half of its derivative is X - U.
        vkd_l2_backward(x, u, s, r, cols, 0.25f, expected);
        double sum = vkd_l2_forward(x, u, s, r, cols) - vkd_dot(u, u, s, r, cols);
        set_on_device(b.device, w_there, u, size * sizeof *u);
        float *weighted = give(&b, NULL, size);
        vkd_gpu_isometric(b.launch, x_there, rows, samples, 0.25f, s_there, w_there, weighted, loss, stretch);
        check_near(&b, w_there, expected, size, 2);
        assert_below(fabs(sum_of_parts(b.device, loss) - sum), bound);
        assert_below(fabs(sum_of_parts(b.device, stretch) - own), bound);
        if (s) {
            vkd_scale_columns(x, roots, r, cols, expected);
            check_near(&b, weighted, expected, size, 2);
            vkd_gpu_scale_by_roots(b.launch, x_there, rows, samples, s_there);
            check_near(&b, x_there, expected, size, 2);
        }
        vkd_gpu_pull_of_targets(b.launch, u_there, rows, samples, s_there, w_there);
        for (size_t j = 0; j < size; ++j)
            expected[j] = -2 * (s ? s[j % cols] : 1) * u[j];
        check_near(&b, w_there, expected, size, 2);
        void *all[] = {x, u, expected, s, roots};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

static void gain_and_its_adjoint(void **state) {
    (void)state;
    EACH_LAUNCH(b) {
        const size_t size = 333;
        float *x = normal_floats(size, 1), *d = normal_floats(size, 2), *x_there = give(&b, x, size);
        float *d_there = give(&b, d, size);
        double *partial = parts(&b);
        int *bad = zeroes(&b, sizeof *bad);
        vkd_device_state *gain = state_with(&b, (vkd_device_state){.gain = 0.7});
        vkd_gpu_gain_adjoint(b.launch, gain, d_there, x_there, size, partial, bad);
        assert_below(fabs(sum_of_parts(b.device, partial) - dot_floats(d, x, size)), 100 * EPS64 * size);
        vkd_gpu_gain(b.launch, gain, x_there, size);
        for (size_t i = 0; i < size; ++i) {
            x[i] *= 0.7f;
            d[i] *= 0.7f;
        }
        check_near(&b, x_there, x, size, 1);
        check_near(&b, d_there, d, size, 1);
        free(x);
        free(d);
    }
}

static void products(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const int m = 5, n = 7, k = 3;
    for (int way = 0; way < 4; ++way) {
        bool ta = way & 1, tb = way & 2;
        int lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
        float *A = normal_floats((size_t)(ta ? k : m) * lda, 1),
              *B = normal_floats((size_t)(tb ? n : k) * ldb, 2);
        float *C = normal_floats((size_t)m * ldc, 3), *expected = copy_floats(C, (size_t)m * ldc);
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < n; ++j) {
                double sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += (double)A[ta ? l * lda + i : i * lda + l] * B[tb ? j * ldb + l : l * ldb + j];
                expected[i * ldc + j] = (float)(0.5 * sum - 2 * (double)C[i * ldc + j]);
            }
        float *a = floats_on_device(device, A, (size_t)(ta ? k : m) * lda);
        float *b = floats_on_device(device, B, (size_t)(tb ? n : k) * ldb);
        float *c = floats_on_device(device, C, (size_t)m * ldc);
        vkd_device_gemm(device, ta, tb, m, n, k, 0.5f, a, lda, b, ldb, -2, c, ldc);
        float *got = floats_of_device(device, c, (size_t)m * ldc);
        assert_near(got, expected, (size_t)m * ldc, 0, 4);
        void *all[] = {A, B, C, expected, got}, *there[] = {a, b, c};
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
        for (size_t i = 0; i < COUNT(there); ++i)
            vkd_device_free(device, there[i]);
    }
    close_device(device);
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_losses),
        cmocka_unit_test(gain_and_its_adjoint),
        cmocka_unit_test(products),
    };
    return cmocka_run_group_tests_name("loss_kernels", tests, NULL, NULL);
}
