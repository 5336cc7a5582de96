// The learned gain; the gradients through every student_norm are in test_tap.c.
#include "../numerics/support.h"

#include "core/student.h"

enum { K = 3, SAMPLES = 40 };

static vkd_student make(void) {
    vkd_student s;
    assert_ok(vkd_student_create(&s, VKD_OPTION_STUDENT_GAIN, K, SAMPLES));
    return s;
}

// Targets u = 3 x under the loss c sum |g x - u|^2: the gain arrives at 3 and stays there.
static void gain_arrives_at_the_least_squares_one(void **state) {
    (void)state;
    const double c = 0.01, starts[] = {1e-3, 1, 3, 500};
    for (size_t i = 0; i < COUNT(starts); ++i) {
        vkd_student s = make();
        s.gain = starts[i];
        for (int step = 0; step < 200; ++step) {
            float *x = normal_floats(K * SAMPLES, (uint64_t)step), *X = copy_floats(x, K * SAMPLES);
            float *dX = floats(K * SAMPLES);
            vkd_student_forward(&s, X, SAMPLES);
            double g = s.gain;
            for (int j = 0; j < K * SAMPLES; ++j)
                dX[j] = (float)(2 * c * (X[j] - 3 * (double)x[j]));
            vkd_student_backward(&s, X, dX, SAMPLES, c, dot_floats(X, X, K * SAMPLES));
            for (int j = 0; j < K * SAMPLES; ++j)
                assert_below(fabs(dX[j] - g * 2 * c * (g - 3) * x[j]), 1e-5 * (1 + g * g));
            double before = s.gain;
            vkd_student_update(&s, 0.9);
            assert_true(s.gain > 0 && s.gain >= before / 2);
            free(x);
            free(X);
            free(dX);
        }
        assert_below(fabs(s.gain / 3 - 1), 1e-5);
        vkd_student_free(&s);
    }
}

// A tenth of the way to the minimum, and never further down than to the half.
static void a_step_of_the_gain(void **state) {
    (void)state;
    const double steps[][2] = {{1, 1.9}, {-1, 2.1}, {8, 1.2}, {10, 1}, {11, 1}, {1000, 1}, {-1000, 102}};
    for (size_t i = 0; i < COUNT(steps); ++i) {
        vkd_student s = make();
        s.gain = 2;
        s.gradient = 3 * steps[i][0];
        s.curvature = 3;
        vkd_student_update(&s, 0.9);
        assert_below(fabs(s.gain - steps[i][1]), 100 * EPS64);
        assert_true(s.gradient == 0 && s.curvature == 0);
        vkd_student_free(&s);
    }
}

// What would make it zero, negative or not finite.
static void gain_stays_positive(void **state) {
    (void)state;
    const double bad[][2] = {{1, 0}, {NAN, 1}, {1, NAN}, {INFINITY, 1}, {1e300, 1e-300}, {0, 1}};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        vkd_student s = make();
        s.gain = 2;
        s.gradient = bad[i][0];
        s.curvature = bad[i][1];
        vkd_student_update(&s, 0.9);
        assert_true(s.gain >= 1 && s.gain <= 2 && s.gradient == 0 && s.curvature == 0);
        vkd_student_free(&s);
    }
}

static void gain_starts_from_the_scales(void **state) {
    (void)state;
    vkd_student s = make();
    vkd_student_start_gain(&s, 4, 36);
    assert_true(s.gain == 3);
    vkd_student_start_gain(&s, 4, 4); // once only
    assert_true(s.gain == 3);
    const double bad[][2] = {{0, 1},        {0, 0},          {1, 0},         {NAN, 1},
                             {1, INFINITY}, {1e300, 1e-300}, {1e-300, 1e300}};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        s.gain = 0;
        vkd_student_start_gain(&s, bad[i][0], bad[i][1]);
        assert_true(s.gain == 0);
        vkd_student_start_gain(&s, 4, 1); // past bug: the first call left 1 for good
        assert_true(s.gain == 0.5);
    }
    vkd_student_free(&s);
    assert_ok(vkd_student_create(&s, VKD_OPTION_STUDENT_NONE, K, SAMPLES));
    vkd_student_start_gain(&s, 4, 36);
    assert_true(s.gain == 0);
    vkd_student_free(&s);
    vkd_student_free(&s); // harmless again
    assert_int_equal(vkd_student_create(&s, VKD_OPTION_STUDENT_NONE, 0, 1), VKD_INVALID_ARGUMENT);
    vkd_student_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gain_arrives_at_the_least_squares_one),
        cmocka_unit_test(a_step_of_the_gain),
        cmocka_unit_test(gain_stays_positive),
        cmocka_unit_test(gain_starts_from_the_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
