#include "reference_tap.h"
#include "tap_support.h"

#include "numerics/stiefel.h"

static const vkd_tap_shape grids[] = {{3, 1, 4, 3, 1, 4, 3}, {3, 1, 2, 2, 1, 4, 6}, {3, 1, 3, 4, 1, 5, 3}};

static vkd_tap_options options_of(int map) {
    return (vkd_tap_options){
        .map = map,
        .ratio = 0.1f,
        .learning_rate = 1,
        .whiten = {.mode = VKD_OPTION_MODE_STANDARDIZE, .momentum = 0.9f, .shrinkage = 0.0625f, .eps = 1e-5f},
    };
}

static vkd_tap *make(const vkd_tap_options *o, vkd_tap_shape s) {
    vkd_tap *tap;
    assert_ok(vkd_tap_create(&tap, o, s, 11, 2));
    return tap;
}

static float *student(const vkd_tap_shape *s) {
    return student_floats(s, 40);
}

// G (n,k) as the projection has it, whichever way it is stored.
static double *gradient_in_P(const vkd_projection *p) {
    double *G = doubles((size_t)p->n * p->k);
    for (int i = 0; i < p->n; ++i)
        for (int c = 0; c < p->k; ++c)
            G[i * p->k + c] = p->gradient[p->n < p->k ? c * p->n + i : i * p->k + c];
    return G;
}

// G <- G - P G'P: what of a gradient counts on the manifold.
static void take_tangent(double *G, const double *P, int n, int k) {
    double *held = doubles((size_t)n * k);
    memcpy(held, G, (size_t)n * k * sizeof *G);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            for (int a = 0; a < k; ++a)
                for (int r = 0; r < n; ++r)
                    G[i * k + j] -= P[i * k + a] * held[r * k + a] * P[r * k + j];
    free(held);
}

static const double test_gain = 0.625;

// First and second derivative in the gain; l2 is a parabola in it.
static void check_gain(const vkd_tap *tap, const double *x, const double *T, const double *P) {
    const vkd_tap_options *o = &tap->options;
    const double h = 1e-3, middle = reference_tap_loss(o, &tap->shape, test_gain, x, T, P);
    double above = reference_tap_loss(o, &tap->shape, test_gain + h, x, T, P);
    double below = reference_tap_loss(o, &tap->shape, test_gain - h, x, T, P);
    double curvature = (above - 2 * middle + below) / (h * h);
    bool parabola = o->loss == VKD_OPTION_LOSS_L2;
    double scale =
        fabs(curvature) + 2 * sqrt(middle * fabs(curvature)) + 1e-3; // of the terms it is the sum of
    assert_below(fabs(tap->student.gradient - (above - below) / (2 * h)),
                 scale * (parabola ? 100 * EPS32 : h));
    if (parabola)
        assert_below(fabs(tap->student.curvature - curvature), scale * 100 * EPS32);
    else
        assert_true(tap->student.curvature >= curvature * (1 - h));
}

// Loss, dx and the projection's gradient against central differences of the float64 loss.
static void check_gradients(const vkd_tap_options *o, const vkd_tap_shape *s, bool cancels) {
    vkd_tap *tap = make(o, *s);
    size_t in = student_size(s), nk = (size_t)s->n * s->k;
    float *x = student(s), *t = normal_floats(teacher_size(s), 41), *P = floats(nk);
    vkd_projection_matrix(&tap->projection, P);
    double *wide_x = widened(x, in), *wide_P = widened(P, nk), *expected = doubles(in + nk);
    double *T = reference_teacher(o, s, t), loss = reference_tap_loss(o, s, test_gain, wide_x, T, wide_P);
    assert_int_equal(tap->emphasis != NULL, o->foreground > 0);
    assert_int_equal(tap->mask != NULL, o->mask_padding);
    for (int i = 0; tap->emphasis && i < s->batch * tap->locations; ++i)
        tap->emphasis[i] = reference_emphasis(o, i / tap->locations, i % tap->locations);
    for (int i = 0; tap->mask && i < s->batch * tap->locations; ++i)
        tap->mask[i] = reference_mask(o, i / tap->locations, i % tap->locations);
    tap->student.gain = test_gain;
    assert_ok(vkd_tap_forward(tap, x, t));
    assert_below(fabs(tap->loss * s->batch - loss) / ((loss + 1e-3) * EPS32), 30);

    reference_tap_gradient(o, s, test_gain, wide_x, T, wide_P, false, expected);
    double size = cancels ? size_before_cancelling(tap, loss) : norm_doubles(expected, in);
    double *dx = widened(tap->dx, in);
    for (size_t i = 0; i < in; ++i)
        assert_below(fabs(dx[i] - expected[i]), 30 * size * EPS32);

    double *G = gradient_in_P(&tap->projection);
    reference_tap_gradient(o, s, test_gain, wide_x, T, wide_P, true, expected);
    double scale = norm_doubles(expected, nk);
    if (tap->residual == NULL) { // it leaves out a part that is normal to the manifold
        take_tangent(G, wide_P, s->n, s->k);
        take_tangent(expected, wide_P, s->n, s->k);
    }
    for (size_t i = 0; i < nk; ++i)
        assert_below(fabs(G[i] - expected[i]) / ((scale + 1e-3) * EPS32), 30);

    if (o->student_norm == VKD_OPTION_STUDENT_GAIN) check_gain(tap, wide_x, T, wide_P);

    void *all[] = {x, t, P, wide_x, wide_P, expected, T, dx, G};
    for (size_t i = 0; i < COUNT(all); ++i)
        free(all[i]);
    vkd_tap_free(tap);
}

// Every whitening of the teacher (a degenerate covariance has no Cholesky factor to compare with), every
// normalisation of the student, both pools, with and without weights of the locations and a mask.
static void check_options(int map, int loss, const vkd_tap_shape *s, bool degenerate) {
    for (int norm = VKD_OPTION_STUDENT_NONE; norm <= VKD_OPTION_STUDENT_LAYERNORM; ++norm)
        for (int pool = VKD_OPTION_POOL_DENSE; pool <= VKD_OPTION_POOL_GLOBAL; ++pool)
            for (int way = 0; way < (degenerate ? 5 : 6); ++way) {
                vkd_tap_options o = options_of(map);
                o.student_norm = norm;
                o.loss = loss;
                o.pool = pool;
                o.whiten.mode = way < 4 ? way : VKD_OPTION_MODE_WHITEN;
                if (way == 4) o.whiten.rank = (s->n + 1) / 2;
                if (way == 5) o.whiten.whitening = VKD_OPTION_WHITENING_CHOLESKY;
                for (int counts = 0; counts < (pool == VKD_OPTION_POOL_DENSE ? 4 : 1); ++counts) {
                    o.foreground = counts & 1 ? 0.5f : 0;
                    o.mask_padding = counts >> 1;
                    check_gradients(&o, s, degenerate || norm == VKD_OPTION_STUDENT_LAYERNORM);
                }
            }
}

static void gradients(void **state) {
    (void)state;
    const int channels[][2] = {{7, 3}, {4, 4}, {3, 6}}; // n, k
    const int maps[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_LINEAR, VKD_OPTION_MAP_FROZEN};
    for (size_t m = 0; m < COUNT(maps); ++m)
        for (size_t c = 0; c < COUNT(channels); ++c)
            for (size_t g = 0; g < COUNT(grids); ++g) {
                vkd_tap_shape s = grids[g];
                s.n = channels[c][0];
                s.k = channels[c][1];
                check_options(maps[m], VKD_OPTION_LOSS_L2, &s, false);
                if (m < 2) check_options(maps[m], VKD_OPTION_LOSS_SMOOTH_L1, &s, false);
            }
}

static void degenerate_shapes(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(degenerate_grids); ++i) {
        for (int loss = VKD_OPTION_LOSS_L2; loss <= VKD_OPTION_LOSS_SMOOTH_L1; ++loss) {
            check_options(VKD_OPTION_MAP_MATRIX_EXP, loss, &degenerate_grids[i], true);
            check_options(VKD_OPTION_MAP_LINEAR, loss, &degenerate_grids[i], true);
        }
    }
}

// From one orthonormal P: two products as good as three.
static void both_branches_agree(void **state) {
    (void)state;
    vkd_tap_shape s = {3, 4, 4, 5, 9, 4, 5};
    for (int norm = 0; norm < 2; ++norm) {
        vkd_tap_options isometry = options_of(VKD_OPTION_MAP_CAYLEY);
        isometry.student_norm = norm ? VKD_OPTION_STUDENT_STANDARDIZE : VKD_OPTION_STUDENT_NONE;
        vkd_tap_options general = isometry;
        general.map = VKD_OPTION_MAP_LINEAR;
        vkd_tap *a = make(&isometry, s), *b = make(&general, s);
        assert_memory_equal(a->projection.V, b->projection.V, 36 * sizeof(float));
        assert_null(a->residual);
        assert_non_null(b->residual);
        float *x = student(&s), *t = normal_floats(teacher_size(&s), 42);
        assert_ok(vkd_tap_forward(a, x, t));
        assert_ok(vkd_tap_forward(b, x, t));
        assert_below(fabs(a->loss - b->loss) / (b->loss * EPS32), 30);
        assert_below(relative_floats(a->dx, b->dx, student_size(&s)) / EPS32, 30);
        for (int i = 0; i < 2; ++i) {
            vkd_projection *p = i ? &a->projection : &b->projection;
            assert_ok(vkd_stiefel_tangent_gradient(p->V, p->gradient, p->gradient, 9, 4, a->projection.work));
        }
        assert_below(relative_floats(a->projection.gradient, b->projection.gradient, 36) / EPS32, 30);
        free(x);
        free(t);
        vkd_tap_free(a);
        vkd_tap_free(b);
    }
}

// dx =, the projection's gradient +=.
static void gradients_accumulate(void **state) {
    (void)state;
    vkd_tap_shape s = {2, 3, 2, 2, 5, 2, 2};
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
    vkd_tap *tap = make(&o, s);
    float *x = student(&s), *t = normal_floats(teacher_size(&s), 43);
    assert_ok(vkd_tap_forward(tap, x, t));
    float *dx = copy_floats(tap->dx, student_size(&s)), *G = copy_floats(tap->projection.gradient, 15);
    assert_ok(vkd_tap_forward(tap, x, t));
    assert_memory_equal(dx, tap->dx, student_size(&s) * sizeof *dx);
    for (int i = 0; i < 15; ++i)
        G[i] *= 2;
    assert_below(relative_floats(tap->projection.gradient, G, 15) / EPS32, 4);
    free(x);
    free(t);
    free(dx);
    free(G);
    vkd_tap_free(tap);
}

static void start_is_a_function_of_seed_and_index(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
    const uint64_t seeds[][2] = {{5, 0}, {5, 0}, {5, 1}, {6, 0}};
    vkd_tap *taps[4];
    for (int i = 0; i < 4; ++i)
        assert_ok(
            vkd_tap_create(&taps[i], &o, (vkd_tap_shape){1, 3, 2, 2, 5, 2, 2}, seeds[i][0], seeds[i][1]));
    assert_memory_equal(taps[0]->projection.V, taps[1]->projection.V, 15 * sizeof(float));
    for (int i = 2; i < 4; ++i)
        assert_true(relative_floats(taps[0]->projection.V, taps[i]->projection.V, 15) > 0.1);
    for (int i = 0; i < 4; ++i)
        vkd_tap_free(taps[i]);
}

static void refuses_empty_shapes(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP);
    const vkd_tap_shape good = {1, 2, 3, 4, 5, 6, 7};
    vkd_tap *live = make(&o, good);
    for (int i = 0; i < 7; ++i)
        for (int value = -1; value < 1; ++value) {
            int v[7] = {1, 2, 3, 4, 5, 6, 7};
            v[i] = value;
            vkd_tap_shape s = {v[0], v[1], v[2], v[3], v[4], v[5], v[6]};
            vkd_tap *tap = live;
            assert_int_equal(vkd_tap_create(&tap, &o, s, 1, 0), VKD_INVALID_ARGUMENT);
            assert_null(tap);
            assert_int_equal(vkd_tap_resize(live, s), VKD_INVALID_ARGUMENT);
        }
    vkd_tap_shape other_k = good, other_n = good;
    ++other_k.k;
    ++other_n.n;
    assert_int_equal(vkd_tap_resize(live, other_k), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_tap_resize(live, other_n), VKD_INVALID_ARGUMENT);
    float *x = student(&good), *t = normal_floats(teacher_size(&good), 44);
    assert_ok(vkd_tap_forward(live, x, t)); // a refused shape left it as it was
    free(x);
    free(t);
    vkd_tap_free(live);
    vkd_tap_free(NULL);
}

// What of a tap a bad batch must not touch, of one that is no larger.
typedef struct snapshot {
    float gradient[15], V[15];
    double mean[5], second[25];
    long batches;
} snapshot;

static snapshot snapshot_of(const vkd_tap *tap) {
    snapshot s;
    memset(&s, 0, sizeof s);
    size_t n = (size_t)tap->shape.n, matrix = n * (size_t)tap->shape.k;
    assert_true(matrix <= COUNT(s.V) && n <= COUNT(s.mean));
    memcpy(s.gradient, tap->projection.gradient, matrix * sizeof(float));
    memcpy(s.V, tap->projection.V, matrix * sizeof(float));
    size_t second = vkd_target_second_size(&tap->target);
    if (second) {
        memcpy(s.mean, tap->target.mean, n * sizeof(double));
        memcpy(s.second, tap->target.second, second * sizeof(double));
    }
    s.batches = tap->target.batches;
    return s;
}

static void check_refusal(const vkd_tap_options *o, vkd_tap_shape s, bool in_student, float bad) {
    vkd_tap *tap = make(o, s);
    size_t in = student_size(&s), out = teacher_size(&s);
    float *x = student(&s), *t = normal_floats(out, 45);
    for (size_t at = 0; at < (in_student ? in : out); at += 5) {
        assert_ok(vkd_tap_forward(tap, x, t));
        assert_false(all_are_zero(tap->dx, in));
        snapshot before = snapshot_of(tap);
        float *place = in_student ? &x[at] : &t[at], held = *place;
        *place = bad;
        assert_int_equal(vkd_tap_forward(tap, x, t), VKD_NOT_FINITE);
        *place = held;
        snapshot after = snapshot_of(tap);
        assert_memory_equal(&before, &after, sizeof before);
        assert_true(all_are_zero(tap->dx, in));
        assert_true(tap->loss == 0);
        int idle = tap->idle;
        assert_true(vkd_tap_weigh(tap, x, 1) == 0);
        assert_int_equal(tap->idle, idle + 1);
    }
    free(x);
    free(t);
    vkd_tap_free(tap);
}

// No location counts: nothing comes of the batch, which is no fault of the tap.
static void without_samples(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_tap_options o = options_of(VKD_OPTION_MAP_CAYLEY);
        o.whiten.mode = mode;
        o.whiten.statistics = VKD_OPTION_STATISTICS_RUNNING;
        o.foreground = 1;
        vkd_tap *tap = make(&o, grids[0]);
        size_t in = student_size(&tap->shape);
        float *x = student(&tap->shape), *t = normal_floats(teacher_size(&tap->shape), 46);
        int locations = tap->shape.batch * tap->locations;
        for (int batch = 0; batch < 5; ++batch) {
            bool counts = batch == 1;
            for (int i = 0; i < locations; ++i)
                tap->mask[i] = counts && i == 3; // one sample is the least
            snapshot before = snapshot_of(tap);
            if (batch == 4) x[0] = NAN; // told, but with nothing to learn idle is not what it is
            assert_int_equal(vkd_tap_forward(tap, x, t), batch == 4 ? VKD_NOT_FINITE : VKD_OK);
            snapshot after = snapshot_of(tap);
            if (counts) continue;
            assert_memory_equal(&before, &after, sizeof before);
            assert_true(all_are_zero(tap->dx, in) && tap->loss == 0);
            int idle = tap->idle;
            assert_true(vkd_tap_weigh(tap, x, 1) == 0 && tap->weight == 0 && tap->ratio == 0);
            assert_int_equal(tap->idle, idle);
        }
        free(x);
        free(t);
        vkd_tap_free(tap);
    }
}

static void not_finite(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const int maps[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_LINEAR};
    for (size_t m = 0; m < COUNT(maps); ++m)
        for (size_t v = 0; v < COUNT(bad); ++v)
            for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
                for (int way = 0; way < 8; ++way) {
                    vkd_tap_options o = options_of(maps[m]);
                    o.whiten.mode = mode;
                    o.whiten.statistics = VKD_OPTION_STATISTICS_RUNNING;
                    o.pool = way & 1 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
                    o.student_norm = way & 2 ? VKD_OPTION_STUDENT_STANDARDIZE : VKD_OPTION_STUDENT_NONE;
                    check_refusal(&o, (vkd_tap_shape){2, 3, 2, 3, 5, 4, 6}, way & 4, bad[v]);
                }
}

// P, momentum, statistics and norms stay; the new grid's gradients are right.
static void resizing(void **state) {
    (void)state;
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = options_of(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_MATRIX_EXP);
        o.pool = way & 2 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE;
        o.student_norm = way & 4 ? VKD_OPTION_STUDENT_STANDARDIZE : VKD_OPTION_STUDENT_NONE;
        o.whiten.mode = VKD_OPTION_MODE_WHITEN;
        vkd_tap_shape first = {2, 3, 2, 3, 5, 2, 3};
        const vkd_tap_shape shapes[] = {{2, 3, 5, 4, 5, 10, 8}, {2, 3, 1, 1, 5, 1, 1}, {2, 3, 4, 4, 5, 4, 4}};
        vkd_tap *tap = make(&o, first);
        float *x = student(&first), *t = normal_floats(teacher_size(&first), 46);
        assert_ok(vkd_tap_forward(tap, x, t));
        vkd_tap_weigh(tap, x, 1);
        free(x);
        free(t);
        for (size_t i = 0; i < COUNT(shapes); ++i) {
            snapshot before = snapshot_of(tap);
            double norms[] = {tap->task_norm, tap->loss_norm, (double)tap->norm_steps};
            assert_ok(vkd_tap_resize(tap, shapes[i]));
            snapshot after = snapshot_of(tap);
            assert_memory_equal(&before, &after, sizeof before);
            double kept[] = {tap->task_norm, tap->loss_norm, (double)tap->norm_steps};
            assert_memory_equal(norms, kept, sizeof norms);
            // A tap made for this grid, with the same P, gives the same (batch statistics).
            vkd_tap *fresh = make(&o, shapes[i]);
            size_t in = student_size(&shapes[i]);
            x = student(&shapes[i]);
            t = normal_floats(teacher_size(&shapes[i]), 47);
            assert_ok(vkd_tap_forward(tap, x, t));
            assert_ok(vkd_tap_forward(fresh, x, t));
            assert_memory_equal(tap->dx, fresh->dx, in * sizeof(float));
            assert_true(tap->loss == fresh->loss);
            free(x);
            free(t);
            vkd_tap_free(fresh);
        }
        vkd_tap_free(tap);
    }
}

// rate times the cfg's learning_rate is the step's angle.
static void updating(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_CAYLEY);
    o.learning_rate = 0.5f;
    vkd_tap_shape s = {2, 4, 3, 3, 9, 3, 3};
    vkd_tap *tap = make(&o, s);
    float *x = student(&s), *t = normal_floats(teacher_size(&s), 48);
    float *V = copy_floats(tap->projection.V, 36);
    assert_ok(vkd_tap_forward(tap, x, t));
    assert_ok(vkd_tap_update(tap, 0.5));
    double moved = relative_floats(tap->projection.V, V, 36); // |V| = sqrt(cols)
    assert_below(fabs(moved / (0.02 * 0.25) - 1), 1e-4);
    assert_true(all_are_zero(tap->projection.gradient, 36));
    free(x);
    free(t);
    free(V);
    vkd_tap_free(tap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(degenerate_shapes),
        cmocka_unit_test(both_branches_agree),
        cmocka_unit_test(gradients_accumulate),
        cmocka_unit_test(start_is_a_function_of_seed_and_index),
        cmocka_unit_test(refuses_empty_shapes),
        cmocka_unit_test(without_samples),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(resizing),
        cmocka_unit_test(updating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
