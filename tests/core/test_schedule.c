#include "core/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static vkd_tap_options tap(int warmup, int until, vkd_option_ramp ramp) {
    return (vkd_tap_options){.warmup = warmup, .until = until, .ramp = ramp};
}

static void assert_near(double x, double expected) {
    if (!(fabs(x - expected) <= 1e-15)) fail_msg("%.17g, expected %.17g", x, expected);
}

static void defaults_are_one_until_the_end(void **state) {
    (void)state;
    vkd_tap_options o = tap(0, 0, VKD_OPTION_RAMP_CONSTANT);
    assert_near(vkd_schedule(&o, 0, 100), 1);
    assert_near(vkd_schedule(&o, 99, 100), 1);
    assert_near(vkd_schedule(&o, 100, 100), 0);
    assert_false(vkd_schedule_finished(&o, 99, 100));
    assert_true(vkd_schedule_finished(&o, 100, 100));
}

// warmup = 4: a quarter, a half, three quarters, all.
static void the_rise(void **state) {
    (void)state;
    vkd_tap_options o = tap(4, 0, VKD_OPTION_RAMP_CONSTANT);
    const double expected[] = {0.25, 0.5, 0.75, 1, 1, 1};
    for (size_t b = 0; b < 6; ++b)
        assert_near(vkd_schedule(&o, b, 100), expected[b]);
    o = tap(1, 0, VKD_OPTION_RAMP_CONSTANT);
    assert_near(vkd_schedule(&o, 0, 100), 1);
}

// From warmup = 2 to until = 6: s = 0, 1/4, 1/2, 3/4, then nothing.
static void the_ramps(void **state) {
    (void)state;
    const double linear[] = {0.5, 1, 1, 0.75, 0.5, 0.25, 0, 0};
    const double cosine[] = {0.5, 1, 1, 0.5 + sqrt(0.125), 0.5, 0.5 - sqrt(0.125), 0, 0};
    const double constant[] = {0.5, 1, 1, 1, 1, 1, 0, 0};
    for (size_t b = 0; b < 8; ++b) {
        vkd_tap_options o = tap(2, 6, VKD_OPTION_RAMP_LINEAR);
        assert_near(vkd_schedule(&o, b, 1000), linear[b]);
        o.ramp = VKD_OPTION_RAMP_COSINE;
        assert_near(vkd_schedule(&o, b, 1000), cosine[b]);
        o.ramp = VKD_OPTION_RAMP_CONSTANT;
        assert_near(vkd_schedule(&o, b, 1000), constant[b]);
        assert_int_equal(vkd_schedule_finished(&o, b, 1000), b >= 6);
    }
}

static void until_zero_is_the_end_of_training(void **state) {
    (void)state;
    for (int ramp = VKD_OPTION_RAMP_CONSTANT; ramp <= VKD_OPTION_RAMP_LINEAR; ++ramp)
        for (size_t b = 0; b < 12; ++b) {
            vkd_tap_options end = tap(3, 0, (vkd_option_ramp)ramp), named = tap(3, 10, (vkd_option_ramp)ramp);
            assert_true(vkd_schedule(&end, b, 10) == vkd_schedule(&named, b, 10));
        }
}

// Whatever the numbers: within [0,1], never falling while it rises, never rising once it fell, 0 where
// finished.
static void bounds_and_order(void **state) {
    (void)state;
    const int marks[] = {0, 1, 2, 7, 30, 2147483647};
    for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 6; ++j)
            for (int ramp = VKD_OPTION_RAMP_CONSTANT; ramp <= VKD_OPTION_RAMP_LINEAR; ++ramp) {
                vkd_tap_options o = tap(marks[i], marks[j], (vkd_option_ramp)ramp);
                double before = 0;
                for (size_t b = 0; b < 40; ++b) {
                    double x = vkd_schedule(&o, b, 35);
                    bool finished = vkd_schedule_finished(&o, b, 35);
                    assert_true(x >= 0 && x <= 1);
                    assert_int_equal(finished, x == 0);
                    if (b > 0 && !finished)
                        assert_true(b < (size_t)o.warmup ? x >= before
                                                         : x <= before || b == (size_t)o.warmup);
                    before = x;
                }
            }
}

static void no_known_end(void **state) {
    (void)state;
    vkd_tap_options o = tap(2, 0, VKD_OPTION_RAMP_LINEAR);
    assert_near(vkd_schedule(&o, 0, 0), 0.5);
    assert_near(vkd_schedule(&o, SIZE_MAX, 0), 1);
    assert_false(vkd_schedule_finished(&o, SIZE_MAX, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_one_until_the_end),
        cmocka_unit_test(the_rise),
        cmocka_unit_test(the_ramps),
        cmocka_unit_test(until_zero_is_the_end_of_training),
        cmocka_unit_test(bounds_and_order),
        cmocka_unit_test(no_known_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
