#include "support.h"

#include "numerics/normalize.h"
#include "numerics/whiten.h"
#include "reference/whiten.h"

enum { B = 2, C = 4, HW = 9, N = B * C * HW };

static double identity_error(const double *M, int c, double size) { // |M - size I|_F
    double error = 0;
    for (int i = 0; i < c * c; ++i)
        error += pow(M[i] - (i % (c + 1) == 0 ? size : 0), 2);
    return sqrt(error);
}

static vkd_status covariance_of(const float *x, int batch, int c, int hw, double *mean, double *cov) {
    double *work = doubles(vkd_covariance_workspace(c)), *variance = doubles(c);
    vkd_channel_moments(x, batch, c, hw, mean, variance);
    const vkd_status status = vkd_covariance(x, batch, c, hw, mean, cov, work);
    free(work);
    free(variance);
    return status;
}

static vkd_status whitening(const double *cov, int c, double shrinkage, int rank, double eps,
                            vkd_whitening kind, float *W, int *kept, double *condition) {
    double *work = doubles(vkd_whitening_matrix_workspace(c));
    const vkd_status status =
        vkd_whitening_matrix(cov, c, shrinkage, rank, eps, kind, W, kept, condition, work);
    free(work);
    return status;
}

static void against_numpy(void **state) {
    (void)state;
    double mean[C], cov[C * C], condition;
    float W[C * C];
    int kept;
    assert_ok(covariance_of(reference_x, B, C, HW, mean, cov));
    assert_below(relative_doubles(cov, reference_covariance, C * C) / EPS64, 100);
    assert_ok(whitening(cov, C, 0.1, 0, 1e-9, VKD_WHITEN_ZCA, W, &kept, &condition));
    assert_below(relative_floats(W, reference_zca, C * C) / EPS32, 1);
    assert_int_equal(kept, C);
    assert_below(fabs(condition / *reference_condition - 1), 1e-12);
    assert_ok(whitening(cov, C, 0.1, 2, 1e-9, VKD_WHITEN_ZCA, W, &kept, &condition));
    assert_below(relative_floats(W, reference_zca_rank_2, C * C) / EPS32, 1);
    assert_int_equal(kept, 2);
    assert_ok(whitening(cov, C, 0.1, 0, 1e-9, VKD_WHITEN_CHOLESKY, W, &kept, &condition));
    assert_below(relative_floats(W, reference_cholesky, C * C) / EPS32, 1);
}

// Correlated channels, scales three decades apart, means far from zero.
static float *correlated(int batch, int c, int hw, uint64_t seed) {
    float *x = normal_floats((size_t)batch * c * hw, seed), *mix = normal_floats((size_t)c * c, seed + 1);
    float *y = floats((size_t)batch * c * hw);
    for (int b = 0; b < batch; ++b)
        for (int i = 0; i < c; ++i)
            for (int j = 0; j < hw; ++j) {
                double sum = 0;
                for (int l = 0; l < c; ++l)
                    sum += mix[i * c + l] * x[(b * c + l) * hw + j];
                y[(b * c + i) * hw + j] = (float)(pow(10, 3. * i / c) * (sum + 3 * i));
            }
    free(x);
    free(mix);
    return y;
}

// The whole chain gives mean 0 and covariance I, for both kinds: L^-1, not its transpose.
static void output_is_white(void **state) {
    (void)state;
    const int batch = 3, c = 6, hw = 300, n = 3 * 6 * 300; // two chunks, the second not full
    float *x = correlated(batch, c, hw, 1), *y = floats(n), *scratch = floats(c * hw), W[36], meanf[6];
    double mean[6], cov[36], condition;
    int kept;
    assert_ok(covariance_of(x, batch, c, hw, mean, cov));
    for (int i = 0; i < c; ++i)
        meanf[i] = (float)mean[i];
    for (int kind = VKD_WHITEN_ZCA; kind <= VKD_WHITEN_CHOLESKY; ++kind) {
        double after[36], mean_after[6];
        assert_ok(whitening(cov, c, 0, 0, 1e-12, (vkd_whitening)kind, W, &kept, &condition));
        assert_int_equal(kept, c);
        vkd_whiten_apply(x, batch, c, hw, W, meanf, y, scratch);
        assert_ok(covariance_of(y, batch, c, hw, mean_after, after));
        // Rounding of W and of W x is seen through the condition number of sqrt(Sigma).
        assert_below(identity_error(after, c, 1) / (c * EPS32 * sqrt(condition)), 1);
        assert_below(identity_error(after, c, 1), 0.02);
        for (int i = 0; i < c; ++i)
            assert_below(fabs(mean_after[i]) / (EPS32 * sqrt(condition)), 10);
    }
    free(x);
    free(y);
    free(scratch);
}

static void apply_against_loops(void **state) {
    (void)state;
    const int batch = 2, c = 5, hw = 7;
    float *x = normal_floats(70, 1), *W = normal_floats(25, 2), *mean = normal_floats(5, 3);
    float *y = floats(70), *scratch = floats(35);
    double *want = doubles(70);
    for (int b = 0; b < batch; ++b)
        for (int i = 0; i < c; ++i)
            for (int j = 0; j < hw; ++j)
                for (int l = 0; l < c; ++l)
                    want[(b * c + i) * hw + j] += W[i * c + l] * ((double)x[(b * c + l) * hw + j] - mean[l]);
    vkd_whiten_apply(x, batch, c, hw, W, mean, y, scratch);
    assert_below(relative_mixed(y, want, 70) / EPS32, 4);
    free(x);
    free(W);
    free(mean);
    free(y);
    free(scratch);
    free(want);
}

// Channels at 1e4 with a spread of 1: E[x x'] - mean mean' in float32 would have no digit left.
static void covariance_far_from_zero(void **state) {
    (void)state;
    const int batch = 2, c = 3, hw = 500;
    float *x = normal_floats(3000, 5);
    for (int i = 0; i < 3000; ++i)
        x[i] += 1e4f;
    double mean[3], cov[9], want[9] = {0};
    assert_ok(covariance_of(x, batch, c, hw, mean, cov));
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < c; ++j)
            for (int b = 0; b < batch; ++b)
                for (int s = 0; s < hw; ++s)
                    want[i * c + j] += (x[(b * c + i) * hw + s] - mean[i]) *
                                       (x[(b * c + j) * hw + s] - mean[j]) / (batch * hw);
    assert_below(relative_doubles(cov, want, 9), 1e-13);
    for (int i = 0; i < 9; ++i)
        assert_true(cov[i] == cov[i % 3 * 3 + i / 3]);
    free(x);
}

// Fewer samples than channels: rank N - 1 shows in *kept, the floor bounds the condition number.
static void few_samples(void **state) {
    (void)state;
    const int c = 12, hw = 5;
    float *x = normal_floats(60, 9), W[144];
    double mean[12], cov[144], condition;
    int kept;
    assert_ok(covariance_of(x, 1, c, hw, mean, cov));
    for (int kind = VKD_WHITEN_ZCA; kind <= VKD_WHITEN_CHOLESKY; ++kind) {
        assert_ok(whitening(cov, c, 0, 0, 1e-4, (vkd_whitening)kind, W, &kept, &condition));
        assert_int_equal(kept, hw - 1);
        assert_below(condition, c / 1e-4 * 1.000001); // the largest eigenvalue is at most the trace
        // shrinkage: every direction counts, condition below c (1 - a) / a + 1
        assert_ok(whitening(cov, c, 0.5, 0, 1e-4, (vkd_whitening)kind, W, &kept, &condition));
        assert_int_equal(kept, c);
        assert_below(condition, c + 1);
    }
    // the rank asked for: W is symmetric, W Sigma W a projector of that trace
    double Wd[144], t[144], projector[144], square[144], trace = 0;
    assert_ok(whitening(cov, c, 0, 3, 1e-4, VKD_WHITEN_ZCA, W, &kept, &condition));
    assert_int_equal(kept, 3);
    for (int i = 0; i < 144; ++i)
        Wd[i] = W[i];
    plain_product(Wd, cov, c, c, c, t);
    plain_product(t, Wd, c, c, c, projector);
    plain_product(projector, projector, c, c, c, square);
    for (int i = 0; i < c; ++i)
        trace += projector[i * c + i];
    assert_below(relative_doubles(square, projector, 144) / (c * EPS32), 1);
    assert_below(fabs(trace - 3) / (c * EPS32), 1);
    free(x);
}

static void shrinkage_and_scale(void **state) {
    (void)state;
    double scaled[C * C], condition, other;
    float W[C * C], V[C * C];
    int kept;
    // All shrinkage: W = (tr / c)^-1/2 I.
    assert_ok(whitening(reference_covariance, C, 1, 0, 1e-5, VKD_WHITEN_ZCA, W, &kept, &condition));
    double trace = 0, Wd[C * C];
    for (int i = 0; i < C; ++i)
        trace += reference_covariance[i * C + i];
    for (int i = 0; i < C * C; ++i)
        Wd[i] = W[i];
    assert_below(identity_error(Wd, C, sqrt(C / trace)) / EPS32, C);
    assert_below(fabs(condition - 1), 1e-12);
    // Units: features a thousand times smaller give W a thousand times larger and nothing else, the
    // floor included.
    const double floors[] = {1e-9, 0.5};
    for (int f = 0; f < 2; ++f)
        for (int kind = VKD_WHITEN_ZCA; kind <= VKD_WHITEN_CHOLESKY; ++kind) {
            for (int i = 0; i < C * C; ++i)
                scaled[i] = 1e-6 * reference_covariance[i];
            assert_ok(whitening(reference_covariance, C, 0.1, 0, floors[f], (vkd_whitening)kind, W, &kept,
                                &condition));
            assert_ok(whitening(scaled, C, 0.1, 0, floors[f], (vkd_whitening)kind, V, &kept, &other));
            for (int i = 0; i < C * C; ++i)
                V[i] *= 1e-3f;
            assert_below(relative_floats(V, W, C * C) / EPS32, 4);
            assert_below(fabs(other / condition - 1), 1e-10);
        }
}

static void degenerate(void **state) {
    (void)state;
    float x[N], y[N], scratch[C * HW], W[C * C], meanf[C];
    double mean[C], cov[C * C], condition;
    int kept;
    // One constant channel among others.
    memcpy(x, reference_x, sizeof x);
    for (int b = 0; b < B; ++b)
        for (int i = 0; i < HW; ++i)
            x[(b * C + 1) * HW + i] = 0.1f;
    assert_ok(covariance_of(x, B, C, HW, mean, cov));
    for (int i = 0; i < C; ++i)
        meanf[i] = (float)mean[i];
    for (int kind = VKD_WHITEN_ZCA; kind <= VKD_WHITEN_CHOLESKY; ++kind) {
        assert_ok(whitening(cov, C, 0, 0, 1e-5, (vkd_whitening)kind, W, &kept, &condition));
        assert_int_equal(kept, C - 1);
        vkd_whiten_apply(x, B, C, HW, W, meanf, y, scratch);
        for (int i = 0; i < N; ++i)
            assert_true(isfinite(y[i]));
        for (int i = 0; i < HW; ++i)
            assert_below(fabs(y[HW + i]), 1e-4);
        // All channels constant, one sample: the zero covariance.
        const double zero[C * C] = {0};
        assert_ok(whitening(zero, C, 0.05, 0, 1e-5, (vkd_whitening)kind, W, &kept, &condition));
        assert_int_equal(kept, 0);
        assert_below(fabs(W[0] * sqrt(1e-5) - 1), 2 * EPS32);
    }
    const double one[] = {4};
    assert_ok(whitening(one, 1, 0, 1, 1e-5, VKD_WHITEN_ZCA, W, &kept, &condition));
    assert_true(W[0] == 0.5f && kept == 1 && condition == 1);
}

static void rejects(void **state) {
    (void)state;
    float W[C * C], x[N];
    double cov[C * C], condition, mean[C];
    int kept;
    memcpy(cov, reference_covariance, sizeof cov);
    const vkd_whitening zca = VKD_WHITEN_ZCA;
    assert_int_equal(whitening(cov, C, -0.1, 0, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, 1.1, 0, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, NAN, 0, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, 0, -1, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, 0, C + 1, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, 0, 0, 0, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, 0, 0, 0, 1e-5, zca, W, &kept, &condition), VKD_INVALID_ARGUMENT);
    assert_int_equal(whitening(cov, C, 0, 2, 1e-5, VKD_WHITEN_CHOLESKY, W, &kept, &condition),
                     VKD_INVALID_ARGUMENT);
    // Past bug: variances of 1e-90 want a W of 1e45, more than float32 holds; W stays as it was.
    for (int kind = VKD_WHITEN_ZCA; kind <= VKD_WHITEN_CHOLESKY; ++kind) {
        double tiny[C * C] = {0};
        for (int i = 0; i < C; ++i) {
            tiny[i * C + i] = i == C - 1 ? 1e-90 : 1e-80;
            W[i] = 7;
        }
        assert_int_equal(whitening(tiny, C, 0, 0, 1e-12, (vkd_whitening)kind, W, &kept, &condition),
                         VKD_NOT_FINITE);
        assert_true(W[0] == 7 && W[C - 1] == 7);
    }
    cov[2] = NAN;
    assert_int_equal(whitening(cov, C, 0, 0, 1e-5, zca, W, &kept, &condition), VKD_NOT_FINITE);
    memcpy(x, reference_x, sizeof x);
    x[20] = NAN;
    assert_int_equal(covariance_of(x, B, C, HW, mean, cov), VKD_NOT_FINITE);
    assert_int_equal(vkd_covariance(x, 0, C, HW, mean, cov, NULL), VKD_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_numpy),       cmocka_unit_test(output_is_white),
        cmocka_unit_test(apply_against_loops), cmocka_unit_test(covariance_far_from_zero),
        cmocka_unit_test(few_samples),         cmocka_unit_test(shrinkage_and_scale),
        cmocka_unit_test(degenerate),          cmocka_unit_test(rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
