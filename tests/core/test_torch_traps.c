// Traps in PyTorch and in public code on top of it, as numbers recorded by scripts/make_reference.py with
// torch 1.13, beside what happens here.
#include "../numerics/support.h"

#include "core/projection.h"
#include "numerics/matrix_exp.h"
#include "numerics/normalize.h"
#include "numerics/whiten.h"
#include "reference/traps.h"

// torch casts the signs on householder's diagonal to an integer: weight decay moves -1 to -0.9999, the cast
// gives 0, and from the second step on its weight is exactly 0. We keep no signs in the parameter, so that a
// D that decays only comes nearer to the base.
static void householder_under_weight_decay(void **state) {
    (void)state;
    assert_below(fabs(decay_torch_norms[0] - sqrt(3)), 1e-6);
    for (size_t step = 1; step < COUNT(decay_torch_norms); ++step)
        assert_true(decay_torch_norms[step] == 0);
    const double rate = 0.04, decay = 0.01;
    vkd_projection p;
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 1, 1);
    vkd_tap_options options = {.map = VKD_OPTION_MAP_HOUSEHOLDER, .rebase = 0, .momentum = 0.9f};
    assert_ok(vkd_projection_create(&p, &options, 8, 3, &rng));
    memcpy(p.V, decay_P, sizeof decay_P);
    memcpy(p.base, decay_P, sizeof decay_P);
    for (int step = 0; step < 100; ++step) {
        memcpy(p.gradient, decay_G, sizeof decay_G);
        assert_ok(vkd_projection_gather(&p));
        for (int i = 0; i < 24; ++i)
            p.D[i] *= (float)(1 - rate * decay);
        assert_ok(vkd_projection_move(&p, rate * norm_floats(p.momentum, 24)));
        assert_below(p.defect / (sqrt(3) * EPS32), 2);
    }
    assert_true(relative_floats(p.V, decay_P, 24) > 0.1); // it did move
    vkd_projection_free(&p);
}

// A single-precision matrix_exp with a wrong Taylor coefficient loses three digits; the recorded version does
// not: its error is what float32 work costs. Ours works in float64 and rounds once, whatever the size.
static void single_precision_exponential(void **state) {
    (void)state;
    const float *const A[] = {exp_A_1, exp_A_2, exp_A_3, exp_A_4};
    const double *const exact[] = {exp_exact_1, exp_exact_2, exp_exact_3, exp_exact_4};
    for (size_t c = 0; c < COUNT(A); ++c) {
        float I[25], V[25];
        for (int i = 0; i < 25; ++i)
            I[i] = i % 6 == 0;
        double *work = doubles(vkd_map_workspace(&vkd_map_matrix_exp, 5, 5));
        assert_ok(vkd_map_forward(&vkd_map_matrix_exp, I, A[c], 5, 5, V, work));
        const double ours = relative_mixed(V, exact[c], 25);
        print_message("matrix_exp, case %zu: torch float32 %.2g, ours %.2g\n", c, exp_torch_errors[c], ours);
        assert_below(ours / EPS32, 0.51);
        assert_below(exp_torch_errors[c], 1e-6); // torch 1.13: no trap
        free(work);
    }
}

// (x - mean) / std with no epsilon.
static void constant_channel(void **state) {
    (void)state;
    assert_true(constant_torch_not_finite[0] == 10); // the whole channel
    float y[30], mean[3], inv_std[3];
    vkd_standardize_forward(constant_x, 1, 3, 10, 1e-5f, y, mean, inv_std);
    for (int i = 0; i < 30; ++i)
        assert_true(isfinite(y[i]) && (i / 10 != 1 || y[i] == 0));
}

// Rows whiten by X L^-T, not by X L^-1 as a widely copied port has it.
static void whitening_by_the_wrong_side(void **state) {
    (void)state;
    assert_true(whiten_defect_wrong[0] > 0.1 && whiten_defect_right[0] < 1e-12);
    double mean[3], variance[3], cov[9], condition;
    double *work = doubles(vkd_covariance_workspace(3)),
           *scratch = doubles(vkd_whitening_matrix_workspace(3));
    float W[9], shift[3], y[120], spare[120];
    int kept;
    vkd_channel_moments(whiten_x, 1, 3, 40, mean, variance);
    assert_ok(vkd_covariance(whiten_x, 1, 3, 40, mean, cov, work));
    assert_ok(vkd_whitening_matrix(cov, 3, 0, 0, 1e-12, VKD_WHITEN_CHOLESKY, W, &kept, &condition, scratch));
    for (int i = 0; i < 3; ++i)
        shift[i] = (float)mean[i];
    vkd_whiten_apply(whiten_x, 1, 3, 40, W, shift, y, spare);
    double defect = 0;
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
            double c = 0;
            for (int s = 0; s < 40; ++s)
                c += (double)y[i * 40 + s] * y[j * 40 + s] / 40;
            defect += (c - (i == j)) * (c - (i == j));
        }
    assert_below(sqrt(defect), 30 * EPS32);
    free(work);
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(householder_under_weight_decay),
        cmocka_unit_test(single_precision_exponential),
        cmocka_unit_test(constant_channel),
        cmocka_unit_test(whitening_by_the_wrong_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
