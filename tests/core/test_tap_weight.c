// The weight of a tap's loss against the task's gradient.
#include "../numerics/support.h"

#include "core/tap.h"

typedef struct weighing {
    vkd_tap *tap;
    float *x, *t, *task;
    size_t in;
} weighing;

static vkd_tap_options options_of(int map) {
    return (vkd_tap_options){
        .map = map,
        .ratio = 0.1f,
        .learning_rate = 1,
        .whiten = {.mode = VKD_OPTION_MODE_STANDARDIZE, .eps = 1e-5f},
    };
}

static weighing start_weighing(const vkd_tap_options *o) {
    weighing w = {.in = 2 * 3 * 3 * 3};
    assert_ok(vkd_tap_create(&w.tap, o, (vkd_tap_shape){2, 3, 3, 3, 5, 3, 3}, 11, 2));
    w.x = normal_floats(w.in, 48);
    w.t = normal_floats(2 * 5 * 3 * 3, 49);
    w.task = normal_floats(w.in, 50);
    assert_ok(vkd_tap_forward(w.tap, w.x, w.t));
    return w;
}

static void end_weighing(weighing *w) {
    free(w->x);
    free(w->t);
    free(w->task);
    vkd_tap_free(w->tap);
}

static void fixed_weight(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
    o.has_weight = true;
    o.weight = 0.375f;
    weighing w = start_weighing(&o);
    const double factors[] = {1, 0.5, 0};
    for (size_t i = 0; i < COUNT(factors); ++i) {
        double weight = vkd_tap_weigh(w.tap, w.task, factors[i]);
        assert_true(weight == 0.375 * factors[i] && w.tap->weight == weight);
        double ratio = weight * norm_floats(w.tap->dx, w.in) / norm_floats(w.task, w.in);
        assert_below(fabs(w.tap->ratio - ratio), 1e-12);
        assert_int_equal(w.tap->idle, 0);
    }
    end_weighing(&w);
}

// weight = ratio mean|task| / max(mean|dx|, |dx|), the plain mean of the first 10 batches and exponential
// (0.9) then: the very first weight keeps the ratio exactly, and no spike of |dx| passes it.
static void weight_by_ratio(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
    weighing w = start_weighing(&o);
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 2, 3);
    double task = 0, loss = 0, mean_ratio = 0, scale = 1;
    float *dx = copy_floats(w.tap->dx, w.in), *scaled = floats(w.in);
    enum { batches = 2000 };
    for (int i = 0; i < batches; ++i) {
        if (i) scale = 0.5 + vkd_rng_uniform(&rng);
        double task_scale = i ? 40 * (0.5 + vkd_rng_uniform(&rng)) : 40;
        for (size_t j = 0; j < w.in; ++j) {
            w.tap->dx[j] = (float)scale * dx[j];
            scaled[j] = (float)(-task_scale * w.task[j]);
        }
        double m = i < 9 ? i / (i + 1.0) : 0.9;
        double task_norm = norm_floats(scaled, w.in), loss_norm = norm_floats(w.tap->dx, w.in);
        task = m * task + (1 - m) * task_norm;
        loss = m * loss + (1 - m) * loss_norm;
        double factor = i % 2 ? 0.5 : 1, expected = factor * 0.1f * task / fmax(loss, loss_norm);
        assert_below(fabs(vkd_tap_weigh(w.tap, scaled, factor) / expected - 1), 1e-12);
        assert_below(fabs(w.tap->ratio / (expected * loss_norm / task_norm) - 1), 1e-12);
        if (i == 0) assert_below(fabs(w.tap->ratio / 0.1f - 1), 1e-12);
        assert_below(w.tap->weight * loss_norm / (factor * 0.1f * task), 1 + 1e-12);
        mean_ratio += w.tap->weight * loss_norm / (factor * task * batches);
    }
    assert_true(mean_ratio > 0.08); // scales spread evenly over 0.5 to 1.5: 0.09
    free(dx);
    free(scaled);
    end_weighing(&w);
}

static void weightless_batches(void **state) {
    (void)state;
    for (int fixed = 0; fixed < 2; ++fixed) {
        vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
        o.has_weight = fixed;
        o.weight = fixed ? 2 : 0;
        weighing w = start_weighing(&o);
        double first = vkd_tap_weigh(w.tap, w.task, 1);
        assert_true(first > 0);
        double norms[] = {w.tap->task_norm, w.tap->loss_norm};
        // A task gradient that is not finite gives 0, enters no average, and is not the tap's fault.
        const float bad[] = {NAN, INFINITY};
        for (size_t i = 0; i < COUNT(bad); ++i) {
            float held = w.task[4];
            w.task[4] = bad[i];
            assert_true(vkd_tap_weigh(w.tap, w.task, 1) == 0);
            assert_true(w.tap->weight == 0 && w.tap->ratio == 0 && w.tap->idle == 0);
            assert_true(w.tap->task_norm == norms[0] && w.tap->loss_norm == norms[1]);
            assert_int_equal(w.tap->norm_steps, 1);
            w.task[4] = held;
        }
        // So does a gradient of the tap that is zero or not finite; it counts as idle.
        float *dx = copy_floats(w.tap->dx, w.in);
        for (int i = 1; i <= 3; ++i) {
            memset(w.tap->dx, 0, w.in * sizeof(float));
            if (i == 3) w.tap->dx[1] = NAN;
            assert_true(vkd_tap_weigh(w.tap, w.task, 1) == 0);
            assert_true(w.tap->weight == 0 && w.tap->ratio == 0);
            assert_int_equal(w.tap->idle, i);
            assert_int_equal(w.tap->norm_steps, 1);
        }
        memcpy(w.tap->dx, dx, w.in * sizeof *dx);
        assert_below(fabs(vkd_tap_weigh(w.tap, w.task, 1) / first - 1), 1e-12);
        assert_int_equal(w.tap->idle, 0);
        assert_true(vkd_tap_weigh(w.tap, w.task, 0) == 0);
        assert_true(w.tap->ratio == 0);
        assert_int_equal(w.tap->idle, 0); // the schedule's zero is no idleness
        // Nothing to keep a ratio to: no weight; a fixed one stands, and the ratio is told as zero.
        memset(w.task, 0, w.in * sizeof *w.task);
        w.tap->norm_steps = 0;
        assert_true(vkd_tap_weigh(w.tap, w.task, 1) == (fixed ? 2 : 0));
        assert_true(w.tap->ratio == 0);
        free(dx);
        end_weighing(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_weight),
        cmocka_unit_test(weight_by_ratio),
        cmocka_unit_test(weightless_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
