// What befalls a tap on the device beside its steps: batches that are not finite, other grids, checkpoints,
// calibration. core/tap.c is the measure here, too.
#include "tap_twins.h"

#include <float.h>

static const vkd_tap_shape shape = {3, 3, 4, 3, 7, 4, 3};
enum { channels_n = 7, channels_k = 3 };

// One part on both; what the CPU answers.
static vkd_status step(twins *w) {
    send_features(w);
    vkd_status status = vkd_tap_forward(w->cpu, w->x, w->t);
    assert_ok(vkd_device_tap_forward(w->gpu, w->x_there, w->t_there));
    cpu_backward(w, 1);
    assert_ok(vkd_device_tap_backward(w->gpu, w->delta_there, -1, 1));
    return status;
}

static void assert_alike(twins *w) {
    size_t in = student_size(&w->cpu->shape), matrix = (size_t)w->cpu->shape.n * w->cpu->shape.k;
    const vkd_tap *a = w->host, *b = w->cpu;
    assert_ok(vkd_device_tap_pull(w->gpu));
    assert_ok(vkd_device_tap_collect(w->gpu));
    float *dx = floats_of_device(w->device, vkd_device_tap_dx(w->gpu), in);
    float *delta = floats_of_device(w->device, w->delta_there, in);
    assert_near(dx, b->dx, in, 1e-30, 100);
    assert_near(delta, w->delta, in, 0, 100);
    assert_near(a->projection.gradient, b->projection.gradient, matrix, 1e-30, 100);
    assert_below(fabs(a->loss - b->loss), 1e-5 * b->loss);
    assert_below(fabs(a->weight - b->weight), 1e-5 * b->weight);
    assert_below(fabs(a->student.gain - b->student.gain), 1e-5 * b->student.gain);
    assert_int_equal(a->idle, b->idle);
    assert_int_equal(a->refused, b->refused);
    assert_int_equal(a->norm_steps, b->norm_steps);
    assert_int_equal(a->target.batches, b->target.batches);
    if (b->target.mean)
        for (int i = 0; i < b->shape.n; ++i)
            assert_below(fabs(a->target.mean[i] - b->target.mean[i]), 1e-6);
    free(dx);
    free(delta);
}

// A NaN or an infinity in the student's or the teacher's features: no gradient, and nothing of it stays.
static void not_finite(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
        for (int way = 0; way < 16; ++way) {
            vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_MATRIX_EXP);
            o.whiten.mode = mode;
            o.student_norm = way & 2 ? VKD_OPTION_STUDENT_GAIN : VKD_OPTION_STUDENT_STANDARDIZE;
            o.pool = way & 4 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
            twins w = make_twins(device, &o, shape);
            draw(&w, 1);
            assert_ok(step(&w));
            float *place = way & 8 ? &w.x[5] : &w.t[17], held = *place;
            *place = bad[way % 3];
            assert_int_equal(step(&w), VKD_NOT_FINITE);
            *place = held;
            assert_alike(&w);
            assert_int_equal(w.host->refused, 1);
            assert_true(w.host->loss == 0 && w.host->weight == 0);
            float *dx = floats_of_device(device, vkd_device_tap_dx(w.gpu), student_size(&shape));
            assert_true(all_are_zero(dx, student_size(&shape)));
            free(dx);
            draw(&w, 2);
            assert_ok(step(&w)); // and on it goes
            assert_alike(&w);
            assert_int_equal(w.host->refused, 1);
            free_twins(&w);
        }
    close_device(device);
}

// A finite batch whose loss or gradient is not: what was summed since the last update is dropped.
static void overflow(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int way = 0; way < 4; ++way) {
        vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_MATRIX_EXP);
        o.whiten.mode = VKD_OPTION_MODE_NONE;
        o.student_norm = way & 2 ? VKD_OPTION_STUDENT_GAIN : VKD_OPTION_STUDENT_NONE;
        twins w = make_twins(device, &o, shape);
        draw(&w, 1);
        assert_ok(step(&w));
        for (size_t i = 0; i < teacher_size(&shape); ++i)
            w.t[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        assert_int_equal(step(&w), VKD_NOT_FINITE);
        assert_alike(&w);
        assert_true(all_are_zero(w.host->projection.gradient, channels_n * channels_k));
        assert_true(w.host->student.gradient == 0 && w.host->student.curvature == 0);
        free_twins(&w);
    }
    close_device(device);
}

// No location counts, or the gain finds no start: the batch is passed over, and is no fault.
static void nothing_to_learn(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int way = 0; way < 4; ++way) {
        vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
        o.mask_padding = 1;
        o.pool = way & 1 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
        o.student_norm = way & 2 ? VKD_OPTION_STUDENT_GAIN : VKD_OPTION_STUDENT_STANDARDIZE;
        twins w = make_twins(device, &o, shape);
        size_t locations = (size_t)shape.batch * (size_t)w.cpu->locations;
        for (int batch = 0; batch < 3; ++batch) {
            draw(&w, (uint64_t)batch);
            if (batch == 0) memset(w.x, 0, student_size(&shape) * sizeof *w.x);
            for (size_t i = 0; i < locations; ++i)
                w.cpu->mask[i] = w.host->mask[i] = batch != 1;
            int idle = w.host->idle;
            assert_ok(step(&w));
            assert_alike(&w);
            if (batch == 1) assert_int_equal(w.host->idle, idle); // there was nothing that could be learnt
        }
        assert_int_equal(w.host->refused, 0);
        assert_true(w.host->loss > 0);
        free_twins(&w);
    }
    close_device(device);
}

// All locations, some, all, others: a batch without padding stands between some with.
static void masks_that_come_and_go(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int pool = VKD_OPTION_POOL_DENSE; pool <= VKD_OPTION_POOL_GLOBAL; ++pool) {
        vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
        o.mask_padding = 1;
        o.pool = pool;
        o.student_norm = VKD_OPTION_STUDENT_NONE;
        twins w = make_twins(device, &o, shape);
        for (int batch = 0; batch < 6; ++batch) {
            draw(&w, (uint64_t)batch);
            for (int i = 0; i < shape.batch * w.cpu->locations; ++i)
                w.cpu->mask[i] = w.host->mask[i] = batch % 2 == 0 || (i + batch / 2) % 3 != 0;
            assert_ok(step(&w));
            assert_alike(&w);
        }
        free_twins(&w);
    }
    close_device(device);
}

// As `vkd dump` does: what collect brings is of the last forward, and the gradient adds up.
static void forwards_alone(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
    twins w = make_twins(device, &o, shape);
    for (int batch = 0; batch < 3; ++batch) {
        draw(&w, (uint64_t)batch);
        send_features(&w);
        assert_ok(vkd_tap_forward(w.cpu, w.x, w.t));
        assert_ok(vkd_device_tap_forward(w.gpu, w.x_there, w.t_there));
        assert_ok(vkd_device_tap_collect(w.gpu));
        assert_ok(vkd_device_tap_collect(w.gpu));
        assert_below(fabs(w.host->loss - w.cpu->loss), 1e-5 * w.cpu->loss);
        assert_near(w.host->projection.gradient, w.cpu->projection.gradient, channels_n * channels_k, 0, 100);
    }
    free_twins(&w);
    close_device(device);
}

// The whitening matrix is made anew at the batches at which the CPU makes it, refused ones among them.
static void refreshes_as_on_the_cpu(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const vkd_tap_shape small = {2, 2, 3, 3, 4, 3, 3};
    for (int map = VKD_OPTION_MAP_CAYLEY; map <= VKD_OPTION_MAP_LINEAR; map += 3) {
        vkd_tap_options o = twin_options(map);
        o.whiten.mode = VKD_OPTION_MODE_WHITEN;
        twins w = make_twins(device, &o, small);
        for (int batch = 0; batch < 100; ++batch) {
            draw(&w, (uint64_t)batch);
            if (batch == 7 || batch == 40) w.t[5] = NAN;
            step(&w);
            assert_ok(vkd_tap_update(w.cpu, 1));
            assert_ok(vkd_device_tap_update(w.gpu, 1));
            assert_int_equal(w.host->target.refreshes, w.cpu->target.refreshes);
        }
        assert_ok(vkd_device_tap_settle(w.gpu));
        assert_int_equal(w.host->target.refreshes, 34);
        assert_near(w.host->target.W, w.cpu->target.W, 16, 0, 100);
        assert_near(w.host->projection.V, w.cpu->projection.V, 8, 0, 1000);
        free_twins(&w);
    }
    close_device(device);
}

// What of P's move is answered at once, and what later: a gradient and a momentum that are not finite. P
// stays.
static void moves_that_fail(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int late = 0; late < 2; ++late) {
        vkd_tap_options o = twin_options(VKD_OPTION_MAP_LINEAR);
        twins w = make_twins(device, &o, shape);
        draw(&w, 1);
        assert_ok(step(&w));
        float *V = copy_floats(w.host->projection.V, channels_n * channels_k);
        if (late)
            w.host->projection.momentum[4] = INFINITY;
        else
            w.host->projection.gradient[4] = INFINITY;
        assert_int_equal(vkd_device_tap_update(w.gpu, 1), late ? VKD_OK : VKD_NOT_FINITE);
        assert_int_equal(vkd_device_tap_settle(w.gpu), late ? VKD_NOT_FINITE : VKD_OK);
        assert_memory_equal(w.host->projection.V, V, channels_n * channels_k * sizeof *V);
        assert_ok(vkd_device_tap_settle(w.gpu)); // told once
        for (int i = 0; i < channels_n * channels_k; ++i)
            w.cpu->projection.gradient[i] = 0;
        draw(&w, 2);
        assert_ok(step(&w)); // and on it goes
        assert_alike(&w);
        free(V);
        free_twins(&w);
    }
    close_device(device);
}

// map=identity: P is I at first, and as little moved as with map=frozen.
static void fixed_maps(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const vkd_tap_shape square = {3, 5, 4, 3, 5, 4, 3};
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_IDENTITY : VKD_OPTION_MAP_FROZEN);
        o.whiten.mode = way & 2 ? VKD_OPTION_MODE_WHITEN : VKD_OPTION_MODE_NONE;
        o.loss = way & 4 ? VKD_OPTION_LOSS_SMOOTH_L1 : VKD_OPTION_LOSS_L2;
        twins w = make_twins(device, &o, square);
        float *V = copy_floats(w.host->projection.V, 25);
        for (int i = 0; i < 25 && way & 1; ++i)
            assert_true(V[i] == (i % 6 == 0));
        for (int batch = 0; batch < 3; ++batch) {
            draw(&w, (uint64_t)batch);
            assert_ok(step(&w));
            assert_alike(&w);
            assert_ok(vkd_tap_update(w.cpu, 1));
            assert_ok(vkd_device_tap_update(w.gpu, 1));
            assert_ok(vkd_device_tap_settle(w.gpu));
            assert_memory_equal(w.host->projection.V, V, 25 * sizeof *V);
            assert_true(all_are_zero(w.host->projection.gradient, 25));
        }
        free(V);
        free_twins(&w);
    }
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_IDENTITY);
    vkd_tap *none;
    assert_int_equal(vkd_tap_create(&none, &o, shape, 11, 2), VKD_INVALID_ARGUMENT);
    close_device(device);
}

// Resized or freed while P still moves: the host's tap has it all the same.
static void moves_that_are_overtaken(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_MATRIX_EXP);
    o.rebase = 3;
    twins w = make_twins(device, &o, shape);
    for (int batch = 0; batch < 2; ++batch) {
        draw(&w, (uint64_t)batch);
        assert_ok(step(&w));
        assert_ok(vkd_tap_update(w.cpu, 1));
        assert_ok(vkd_device_tap_update(w.gpu, 1));
        if (batch == 0) assert_ok(vkd_device_tap_resize(w.gpu, shape));
    }
    vkd_device_tap_free(w.gpu);
    w.gpu = NULL;
    const vkd_projection *a = &w.host->projection, *b = &w.cpu->projection;
    assert_near(a->V, b->V, channels_n * channels_k, 0, 100);
    assert_int_equal(a->since_rebase, b->since_rebase);
    assert_true(a->defect > 0);
    free_twins(&w);
    close_device(device);
}

// factor = 0, the schedule's before warmup: the plain run, bit for bit.
static void no_weight(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
    twins w = make_twins(device, &o, shape);
    draw(&w, 3);
    for (size_t i = 0; i < student_size(&shape); i += 2)
        w.delta[i] = -0.0f;
    send_features(&w);
    assert_ok(vkd_device_tap_forward(w.gpu, w.x_there, w.t_there));
    assert_ok(vkd_device_tap_backward(w.gpu, w.delta_there, -1, 0));
    float *delta = floats_of_device(device, w.delta_there, student_size(&shape));
    assert_memory_equal(delta, w.delta, student_size(&shape) * sizeof *delta);
    free(delta);
    free_twins(&w);
    close_device(device);
}

static void other_grids(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const vkd_tap_shape grids[] = {{3, 3, 6, 5, 7, 12, 10}, {1, 3, 2, 2, 7, 1, 1}, {4, 3, 5, 5, 7, 5, 5}};
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_CAYLEY);
        o.pool = way & 2 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
        o.whiten.mode = way & 4 ? VKD_OPTION_MODE_WHITEN : VKD_OPTION_MODE_STANDARDIZE;
        o.mask_padding = 1;
        o.student_norm = VKD_OPTION_STUDENT_NONE;
        twins w = make_twins(device, &o, shape);
        draw(&w, 1);
        assert_ok(step(&w));
        for (size_t i = 0; i < COUNT(grids); ++i) {
            assert_ok(vkd_tap_resize(w.cpu, grids[i]));
            assert_ok(vkd_device_tap_resize(w.gpu, grids[i]));
            free_features(&w);
            make_features(&w);
            draw(&w, 2 + i);
            choose_locations(&w, (int)i);
            assert_ok(step(&w));
            assert_alike(&w);
        }
        size_t bytes = vkd_device_tap_bytes(w.gpu);
        vkd_tap_shape none = shape, other = shape;
        none.h = 0;
        other.k = 4;
        assert_int_equal(vkd_device_tap_resize(w.gpu, none), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_device_tap_resize(w.gpu, other), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_device_tap_bytes(w.gpu), bytes);
        assert_ok(step(&w)); // a refused shape left it as it was
        assert_alike(&w);
        free_twins(&w);
    }
    close_device(device);
}

// What pull brings to the host is all there is: a tap made from that goes on as the first one does.
static void checkpoints(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
        for (int norm = VKD_OPTION_STUDENT_GAIN; norm <= VKD_OPTION_STUDENT_STANDARDIZE; ++norm) {
            vkd_tap_options o = twin_options(VKD_OPTION_MAP_MATRIX_EXP);
            o.whiten.mode = mode;
            o.student_norm = norm;
            twins w = make_twins(device, &o, shape);
            for (int batch = 0; batch < 3; ++batch) {
                draw(&w, (uint64_t)batch);
                step(&w);
                assert_ok(vkd_tap_update(w.cpu, 1));
                assert_ok(vkd_device_tap_update(w.gpu, 1));
            }
            assert_ok(vkd_device_tap_pull(w.gpu));
            vkd_device_tap *copy;
            assert_ok(vkd_device_tap_create(&copy, device, w.host));
            vkd_device_tap_free(w.gpu);
            w.gpu = copy;
            draw(&w, 3);
            step(&w);
            assert_alike(&w);
            // The gradient's sum outlives a push between two parts.
            assert_ok(vkd_device_tap_push(w.gpu));
            draw(&w, 4);
            step(&w);
            assert_alike(&w);
            free_twins(&w);
        }
    close_device(device);
}

static void calibrates(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_CAYLEY);
        o.whiten.mode = way & 2 ? VKD_OPTION_MODE_WHITEN : VKD_OPTION_MODE_STANDARDIZE;
        o.whiten.statistics = VKD_OPTION_STATISTICS_CALIBRATED;
        o.mask_padding = way >> 2;
        twins w = make_twins(device, &o, shape);
        for (int batch = 0; batch < 4; ++batch) {
            draw(&w, (uint64_t)batch);
            choose_locations(&w, batch);
            int images = batch == 3 ? 1 : batch == 2 ? 0 : shape.batch;
            if (batch == 1) w.t[9] = NAN;
            send_features(&w);
            vkd_status expected = vkd_tap_calibrate(w.cpu, w.t, images);
            assert_int_equal(vkd_device_tap_calibrate(w.gpu, w.t_there, images), expected);
            assert_int_equal(w.host->target.samples, w.cpu->target.samples);
        }
        size_t second = vkd_target_second_size(&w.cpu->target);
        for (size_t i = 0; i < second; ++i)
            assert_below(fabs(w.host->target.second[i] - w.cpu->target.second[i]), 1e-6);
        assert_ok(vkd_target_refresh(&w.cpu->target));
        assert_ok(vkd_target_refresh(&w.host->target));
        assert_ok(vkd_device_tap_push(w.gpu));
        draw(&w, 9);
        assert_ok(step(&w));
        w.t[0] = INFINITY; // frozen statistics have not seen it, and the gradient so far stays
        assert_int_equal(step(&w), VKD_NOT_FINITE);
        assert_alike(&w);
        free_twins(&w);
    }
    close_device(device);
}

// A covariance whose W float32 cannot hold.
static void whitening_that_fails(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
    o.whiten.mode = VKD_OPTION_MODE_WHITEN;
    o.whiten.eps = 1e-44f;
    o.whiten.shrinkage = 0;
    twins w = make_twins(device, &o, shape);
    draw(&w, 1);
    for (size_t i = 0; i < teacher_size(&shape); ++i) // a dead channel among faint ones
        w.t[i] *= i / 12 % channels_n == 0 ? 0 : 1e-18f;
    send_features(&w);
    vkd_status expected = vkd_tap_forward(w.cpu, w.x, w.t);
    assert_int_equal(expected, VKD_NOT_FINITE);
    assert_ok(vkd_device_tap_forward(w.gpu, w.x_there, w.t_there));
    assert_ok(vkd_device_tap_collect(w.gpu));
    assert_int_equal(w.host->refused, 1);
    float *dx = floats_of_device(device, vkd_device_tap_dx(w.gpu), student_size(&shape));
    assert_true(all_are_zero(dx, student_size(&shape)));
    free(dx);
    free_twins(&w);
    close_device(device);
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_finite),
        cmocka_unit_test(overflow),
        cmocka_unit_test(nothing_to_learn),
        cmocka_unit_test(no_weight),
        cmocka_unit_test(other_grids),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(masks_that_come_and_go),
        cmocka_unit_test(forwards_alone),
        cmocka_unit_test(refreshes_as_on_the_cpu),
        cmocka_unit_test(moves_that_fail),
        cmocka_unit_test(fixed_maps),
        cmocka_unit_test(moves_that_are_overtaken),
        cmocka_unit_test(calibrates),
        cmocka_unit_test(whitening_that_fails),
    };
    return cmocka_run_group_tests_name("device_tap_life", tests, NULL, NULL);
}
