// A whole tap on the device against core/tap.c: forward, backward and update, for every option.
#include "tap_twins.h"

// The task's bound: float32 sums of some hundred terms, in another order.
static const double bound = 1e-5 / EPS32;

static double cancelled_size(const vkd_tap *tap) {
    return size_before_cancelling(tap, tap->loss * tap->shape.batch);
}

static void assert_same(double a, double b, double size) {
    assert_below(fabs(a - b), 1e-5 * fmax(fabs(b), size));
}

static void check_forward(const twins *w) {
    size_t in = student_size(&w->cpu->shape);
    double size = cancelled_size(w->cpu);
    float *dx = floats_of_device(w->device, vkd_device_tap_dx(w->gpu), in);
    assert_near(dx, w->cpu->dx, in, size, bound);
    free(dx);
}

static void check_backward(const twins *w) {
    size_t in = student_size(&w->cpu->shape);
    float *delta = floats_of_device(w->device, w->delta_there, in);
    assert_near(delta, w->delta, in, w->cpu->weight * cancelled_size(w->cpu), bound);
    free(delta);
}

// The gradient's scale: of the factors of the sum it is.
static double gradient_size(const vkd_tap *tap) {
    return 2 * sqrt(tap->loss * tap->shape.batch) / sqrt(tap->shape.n);
}

static void check_collected(const twins *w, bool degenerate) {
    const vkd_tap *a = w->host, *b = w->cpu;
    size_t matrix = (size_t)b->shape.n * b->shape.k;
    assert_same(a->loss, b->loss, 1e-3);
    if (!degenerate) {
        assert_same(a->weight, b->weight, 0);
        assert_same(a->ratio, b->ratio, 0);
        assert_same(a->task_norm, b->task_norm, 0);
        assert_same(a->loss_norm, b->loss_norm, 0);
        assert_int_equal(a->norm_steps, b->norm_steps);
        assert_int_equal(a->idle, b->idle);
    }
    assert_int_equal(a->refused, b->refused);
    assert_same(a->student.gain, b->student.gain, 0);
    assert_same(a->student.gradient, b->student.gradient, fabs(b->student.curvature) + b->loss);
    assert_same(a->student.curvature, b->student.curvature, 0);
    assert_near(a->projection.gradient, b->projection.gradient, matrix, gradient_size(b), bound);
}

static void check_statistics(const twins *w, bool degenerate) {
    const vkd_target *a = &w->host->target, *b = &w->cpu->target;
    size_t n = (size_t)b->n, second = vkd_target_second_size(b);
    if (!second) return;
    assert_int_equal(a->batches, b->batches);
    for (size_t i = 0; i < n; ++i)
        assert_same(a->mean[i], b->mean[i], 1e-3);
    for (size_t i = 0; i < second; ++i)
        assert_same(a->second[i], b->second[i], 1);
    assert_near(a->offset, b->offset, n, 1e-3, bound);
    // Of equal eigenvalues, rank= keeps any.
    bool unique = !b->options->rank || !(degenerate || w->cpu->locations == 1);
    if (b->W && unique)
        assert_near(a->W, b->W, second, 0, bound);
    else if (!b->W)
        assert_near(a->inv_std, b->inv_std, n, 0, bound);
}

// One part of a batch on both.
static void part(twins *w, int step) {
    draw(w, (uint64_t)step);
    choose_locations(w, step);
    send_features(w);
    assert_ok(vkd_tap_forward(w->cpu, w->x, w->t));
    assert_ok(vkd_device_tap_forward(w->gpu, w->x_there, w->t_there));
    check_forward(w);
    cpu_backward(w, 0.5);
    assert_ok(vkd_device_tap_backward(w->gpu, w->delta_there, -1, 0.5));
}

// The channels of a layer norm sum to zero, so a direction of the cross-covariance is rounding.
static bool is_P_unique(const vkd_tap_options *o) {
    return o->map != VKD_OPTION_MAP_PROCRUSTES || o->student_norm != VKD_OPTION_STUDENT_LAYERNORM;
}

// Two batches in two parts each. A degenerate gradient is rounding, and so would be where it turns P.
static void check_tap(vkd_device *device, const vkd_tap_options *o, vkd_tap_shape s, bool degenerate) {
    twins w = make_twins(device, o, s);
    for (int batch = 0; batch < (degenerate ? 1 : 2); ++batch) {
        for (int i = 0; i < 2; ++i) {
            part(&w, 2 * batch + i);
            if (!degenerate) check_backward(&w);
        }
        assert_ok(vkd_device_tap_collect(w.gpu));
        check_collected(&w, degenerate);
        if (degenerate) break;
        vkd_status expected = vkd_tap_update(w.cpu, 1);
        assert_int_equal(vkd_device_tap_update(w.gpu, 1), expected);
        assert_ok(vkd_device_tap_settle(w.gpu));
        assert_below(fabs(w.host->projection.defect - w.cpu->projection.defect), 1e-6);
        if (is_P_unique(o))
            assert_near(w.host->projection.V, w.cpu->projection.V, (size_t)s.n * s.k, 0, bound);
        assert_same(w.host->student.gain, w.cpu->student.gain, 0);
    }
    assert_ok(vkd_device_tap_pull(w.gpu));
    check_statistics(&w, degenerate);
    free_twins(&w);
}

static bool is_possible(const vkd_tap_options *o) {
    return o->map != VKD_OPTION_MAP_PROCRUSTES || o->loss == VKD_OPTION_LOSS_L2;
}

// Every whitening of the teacher and normalisation of the student, both losses and pools, with and without
// weights and mask; all maps and grids in turn.
static void options_and_shapes(const vkd_tap_shape *shapes, size_t count, bool degenerate) {
    vkd_device *device = open_device();
    size_t turn = 0;
    for (int loss = VKD_OPTION_LOSS_L2; loss <= VKD_OPTION_LOSS_SMOOTH_L1; ++loss)
        for (int norm = VKD_OPTION_STUDENT_NONE; norm <= VKD_OPTION_STUDENT_LAYERNORM; ++norm)
            for (int way = 0; way < (degenerate ? 5 : 6); ++way)
                for (int counts = 0; counts < 5; ++counts)
                    for (int map = VKD_OPTION_MAP_MATRIX_EXP; map <= VKD_OPTION_MAP_FROZEN; ++map) {
                        vkd_tap_options o = twin_options(map);
                        // Two maps at a time: one that keeps a base, and one of those that need none.
                        if (map % 3 != (int)(turn / 6) % 3) continue;
                        const int *launch = launches[turn % COUNT(launches)];
                        vkd_tap_shape s = shapes[++turn % count];
                        o.loss = loss;
                        o.student_norm = norm;
                        o.whiten.mode = way < 4 ? way : VKD_OPTION_MODE_WHITEN;
                        if (way == 4) o.whiten.rank = (s.n + 1) / 2;
                        if (way == 5) o.whiten.whitening = VKD_OPTION_WHITENING_CHOLESKY;
                        if (turn % 5 == 0) o.whiten.statistics = VKD_OPTION_STATISTICS_BATCH;
                        o.rebase = (int)(turn % 3);
                        o.has_weight = turn % 4 == 0;
                        o.weight = o.has_weight ? 0.375f : 0;
                        o.pool = counts == 4 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
                        o.foreground = counts & 1 ? 0.6f : 0;
                        o.mask_padding = counts >> 1 & 1;
                        if (!is_possible(&o)) continue;
                        vkd_device_set_launch(device, launch[0], launch[1], launch[2]);
                        // Of two channels, or of two samples, nothing but a sign is left, and a gradient of
                        // rounding.
                        bool is_sign = (norm == VKD_OPTION_STUDENT_LAYERNORM && s.k < 3) ||
                                       (norm == VKD_OPTION_STUDENT_STANDARDIZE && counts == 4 && s.batch < 3);
                        check_tap(device, &o, s, degenerate || is_sign);
                    }
    close_device(device);
}

static void as_on_the_cpu(void **state) {
    (void)state;
    const vkd_tap_shape shapes[] = {{3, 3, 4, 3, 7, 4, 3}, {2, 4, 5, 5, 4, 10, 15}, {3, 6, 3, 4, 3, 5, 3},
                                    {2, 5, 4, 4, 9, 3, 2}, {4, 3, 2, 3, 8, 2, 3},   {3, 4, 5, 3, 3, 5, 3},
                                    {5, 2, 7, 1, 5, 14, 1}};
    options_and_shapes(shapes, COUNT(shapes), false);
}

static void degenerate_shapes(void **state) {
    (void)state;
    options_and_shapes(degenerate_grids, COUNT(degenerate_grids), true);
}

// More than one run of samples in a product, and more than one stretch of them in a sum.
static void many_samples(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int way = 0; way < 6; ++way) {
        vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_CAYLEY);
        o.whiten.mode = VKD_OPTION_MODE_WHITEN;
        o.foreground = way & 2 ? 0.5f : 0;
        o.mask_padding = way > 3;
        check_tap(device, &o, (vkd_tap_shape){2, 2, 37, 31, 4, 37, 31}, false);
    }
    close_device(device);
}

// Not a bound of rounding: whatever differs in a batch goes into all that come.
static void ten_batches(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int norm = VKD_OPTION_STUDENT_NONE; norm <= VKD_OPTION_STUDENT_LAYERNORM; ++norm)
        for (int map = VKD_OPTION_MAP_MATRIX_EXP; map <= VKD_OPTION_MAP_LINEAR; ++map) {
            vkd_tap_options o = twin_options(map);
            o.student_norm = norm;
            o.whiten.mode = norm % 2 ? VKD_OPTION_MODE_WHITEN : VKD_OPTION_MODE_STANDARDIZE;
            o.foreground = 0.5f;
            o.mask_padding = 1;
            if (!is_P_unique(&o)) continue;
            twins w = make_twins(device, &o, (vkd_tap_shape){2, 4, 5, 4, 9, 10, 8});
            for (int batch = 0; batch < 10; ++batch) {
                for (int i = 0; i < 2; ++i)
                    part(&w, 2 * batch + i);
                assert_ok(vkd_device_tap_fetch(w.gpu));
                assert_ok(vkd_tap_update(w.cpu, 1));
                assert_ok(vkd_device_tap_update(w.gpu, 1));
            }
            assert_ok(vkd_device_tap_settle(w.gpu));
            assert_near(w.host->projection.V, w.cpu->projection.V, 36, 0, 10 * bound);
            assert_below(fabs(w.host->loss - w.cpu->loss), 1e-5 * w.cpu->loss);
            assert_below(fabs(w.host->weight - w.cpu->weight), 1e-5 * w.cpu->weight);
            assert_ok(vkd_device_tap_pull(w.gpu));
            check_statistics(&w, false);
            free_twins(&w);
        }
    close_device(device);
}

// A teacher of constant channels, whose covariance nothing is added to: no whitening, and no gradient from
// that batch.
static void no_whitening(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
    o.whiten.mode = VKD_OPTION_MODE_WHITEN;
    o.whiten.whitening = VKD_OPTION_WHITENING_CHOLESKY;
    o.whiten.shrinkage = o.whiten.eps = 0;
    const vkd_tap_shape s = {2, 4, 5, 4, 9, 5, 4};
    twins w = make_twins(device, &o, s);
    draw(&w, 1);
    memset(w.t, 0, teacher_size(&s) * sizeof *w.t);
    send_features(&w);
    assert_int_equal(vkd_tap_forward(w.cpu, w.x, w.t), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_device_tap_forward(w.gpu, w.x_there, w.t_there), VKD_INVALID_ARGUMENT);
    float *dx = floats_of_device(device, vkd_device_tap_dx(w.gpu), student_size(&s));
    for (size_t i = 0; i < student_size(&s); ++i)
        assert_true(dx[i] == 0);
    free(dx);
    assert_ok(vkd_device_tap_collect(w.gpu));
    assert_true(w.host->loss == 0 && w.cpu->loss == 0);
    assert_int_equal(w.host->refused, w.cpu->refused);
    free_twins(&w);
    close_device(device);
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_on_the_cpu), cmocka_unit_test(degenerate_shapes), cmocka_unit_test(many_samples),
        cmocka_unit_test(ten_batches),   cmocka_unit_test(no_whitening),
    };
    return cmocka_run_group_tests_name("device_tap", tests, NULL, NULL);
}
