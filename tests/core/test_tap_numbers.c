// What a tap does with dead layers, constant channels, single samples, numbers too large or too small; and
// the values that its random gradients elsewhere do not tell apart: the gain's start, the statistic of
// procrustes.
#include "tap_support.h"

#include "numerics/polar.h"

static const vkd_tap_shape tall = {2, 3, 2, 3, 5, 4, 6}, wide = {2, 6, 3, 2, 4, 3, 2};

static vkd_tap_options options_of(int map, int student_norm, int mode) {
    return (vkd_tap_options){
        .map = map,
        .rebase = 1,
        .momentum = 0.9f,
        .student_norm = student_norm,
        .ratio = 0.1f,
        .learning_rate = 1,
        .whiten = {.mode = mode,
                   .statistics = VKD_OPTION_STATISTICS_BATCH,
                   .momentum = 0.9f,
                   .shrinkage = 0.05f,
                   .eps = 1e-5f},
    };
}

static vkd_tap *make(const vkd_tap_options *o, vkd_tap_shape s) {
    vkd_tap *tap;
    assert_ok(vkd_tap_create(&tap, o, s, 3, 0));
    return tap;
}

static double squares(const float *x, size_t n) {
    return dot_floats(x, x, n);
}

// gain^2 |x|^2 = |t|^2 min(k/n, 1): of the targets' length what a random isometry reaches.
static void gain_starts_where_lengths_agree(void **state) {
    (void)state;
    const int modes[] = {VKD_OPTION_MODE_NONE, VKD_OPTION_MODE_STANDARDIZE, VKD_OPTION_MODE_WHITEN};
    for (size_t m = 0; m < COUNT(modes); ++m)
        for (int way = 0; way < 4; ++way) { // whitening folded into P, and not
            vkd_tap_options o = options_of(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_CAYLEY,
                                           VKD_OPTION_STUDENT_GAIN, modes[m]);
            const vkd_tap_shape *s = way & 2 ? &wide : &tall;
            vkd_tap *tap = make(&o, *s);
            size_t in = student_size(s), targets = (size_t)s->batch * s->n * s->h * s->w;
            float *x = normal_floats(in, 5), *t = normal_floats(teacher_size(s), 6), *T = floats(targets);
            assert_ok(vkd_tap_forward(tap, x, t));
            assert_ok(vkd_tap_target(tap, t, T));
            double reached = way & 2 ? 1 : 3. / 5;
            assert_below(fabs(tap->student.gain / sqrt(reached * squares(T, targets) / squares(x, in)) - 1),
                         30 * EPS32);
            free(x);
            free(t);
            free(T);
            vkd_tap_free(tap);
        }
}

// Past bug: a first batch without a feature, or without a target, fixed the gain at 1. It gives no gradient
// now, and the next batch is the first.
static void gain_waits_for_a_feature(void **state) {
    (void)state;
    for (int dead = 0; dead < 2; ++dead) {
        vkd_tap_options o =
            options_of(VKD_OPTION_MAP_CAYLEY, VKD_OPTION_STUDENT_GAIN, VKD_OPTION_MODE_STANDARDIZE);
        vkd_tap *late = make(&o, tall), *fresh = make(&o, tall);
        size_t in = student_size(&tall), out = teacher_size(&tall);
        float *x = normal_floats(in, 5), *t = normal_floats(out, 6), *zero = floats(in + out);
        for (size_t i = 0; i < in; ++i)
            x[i] *= 37;
        for (int batch = 0; batch < 3; ++batch) {
            assert_ok(vkd_tap_forward(late, dead ? zero : x, dead ? t : zero));
            assert_true(late->student.gain == 0 && late->loss == 0 && all_are_zero(late->dx, in));
            assert_true(vkd_tap_weigh(late, x, 1) == 0);
            assert_int_equal(late->idle, batch + 1);
            assert_ok(vkd_tap_update(late, 1));
        }
        assert_memory_equal(late->projection.V, fresh->projection.V, 15 * sizeof(float));
        assert_ok(vkd_tap_forward(late, x, t));
        assert_ok(vkd_tap_forward(fresh, x, t));
        assert_true(late->student.gain == fresh->student.gain);
        assert_true(late->student.gain > 0 && late->student.gain < 0.2);
        assert_memory_equal(late->dx, fresh->dx, in * sizeof(float));
        free(x);
        free(t);
        free(zero);
        vkd_tap_free(late);
        vkd_tap_free(fresh);
    }
}

enum { ZEROS, CONSTANT, ONE_CONSTANT_CHANNEL, KINDS };

static float *features(int kind, const vkd_tap_shape *s, bool teacher, uint64_t seed) {
    size_t size = teacher ? teacher_size(s) : student_size(s);
    int plane = teacher ? s->th * s->tw : s->h * s->w, channels = teacher ? s->n : s->k;
    float *x = kind == ZEROS ? floats(size) : normal_floats(size, seed);
    for (size_t i = 0; i < size; ++i)
        if (kind == CONSTANT || (kind == ONE_CONSTANT_CHANNEL && (int)(i / plane) % channels == 0))
            x[i] = -0.3f;
    return x;
}

// Four steps of whatever the cfg can ask for: every number of the tap stays finite, and no step is refused.
static void check_steps(const vkd_tap_options *o, const vkd_tap_shape *s, int student, int teacher) {
    vkd_tap *tap = make(o, *s);
    size_t in = student_size(s), nk = (size_t)s->n * s->k;
    float *task = normal_floats(in, 9);
    for (int step = 0; step < 4; ++step) {
        float *x = features(student, s, false, 20 + (uint64_t)step),
              *t = features(teacher, s, true, 40 + (uint64_t)step);
        assert_ok(vkd_tap_forward(tap, x, t));
        assert_below(fabs(vkd_tap_weigh(tap, task, 1)), 1e30);
        assert_ok(vkd_tap_update(tap, 1));
        assert_true(tap->loss >= 0 && isfinite(tap->loss) && tap->refused == 0);
        for (size_t i = 0; i < in; ++i)
            assert_true(isfinite(tap->dx[i]));
        for (size_t i = 0; i < nk; ++i)
            assert_true(isfinite(tap->projection.V[i]));
        assert_true(isfinite(tap->student.gain));
        if (o->map != VKD_OPTION_MAP_LINEAR)
            assert_below(tap->projection.defect / (sqrt(tap->projection.cols) * EPS32), 30);
        free(x);
        free(t);
    }
    free(task);
    vkd_tap_free(tap);
}

static void degenerate_features(void **state) {
    (void)state;
    // One image, one location, both: a covariance of zero where the sample is single.
    const vkd_tap_shape shapes[] = {
        tall, wide, {1, 3, 2, 2, 5, 2, 2}, {1, 3, 1, 1, 5, 1, 1}, {1, 1, 1, 1, 1, 1, 1}};
    for (int map = VKD_OPTION_MAP_MATRIX_EXP; map <= VKD_OPTION_MAP_FROZEN; ++map)
        for (int norm = VKD_OPTION_STUDENT_NONE; norm <= VKD_OPTION_STUDENT_LAYERNORM; ++norm)
            for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
                for (size_t s = 0; s < COUNT(shapes); ++s)
                    for (int kinds = 0; kinds < KINDS * KINDS; ++kinds) {
                        vkd_tap_options o = options_of(map, norm, mode);
                        o.whiten.statistics =
                            kinds & 1 ? VKD_OPTION_STATISTICS_RUNNING : VKD_OPTION_STATISTICS_BATCH;
                        check_steps(&o, &shapes[s], kinds % KINDS, kinds / KINDS);
                    }
}

// Features that are finite while 2 (P x - t) is not: no gradient, no step of P or of the gain, and the next
// batch is taken as if nothing had been.
static void overflows(void **state) {
    (void)state;
    const int maps[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_LINEAR, VKD_OPTION_MAP_PROCRUSTES};
    for (size_t m = 0; m < COUNT(maps); ++m)
        for (int way = 0; way < 4; ++way) {
            bool gain = way & 1;
            vkd_tap_options o = options_of(maps[m], gain ? VKD_OPTION_STUDENT_GAIN : VKD_OPTION_STUDENT_NONE,
                                           VKD_OPTION_MODE_NONE);
            const vkd_tap_shape s = {1, way & 2 ? 3 : 1, 1, 1, 1, 1, 1};
            vkd_tap *tap = make(&o, s), *spared = make(&o, s);
            size_t k = (size_t)s.k;
            float *x = normal_floats(k, 5), huge[3], t = 2;
            for (int step = 0; step < 4; ++step) {
                assert_ok(vkd_tap_forward(tap, x, &t));
                assert_ok(vkd_tap_forward(spared, x, &t));
                if (step % 2) { // between two halves of a batch, and alone
                    assert_ok(vkd_tap_update(tap, 1));
                    assert_ok(vkd_tap_update(spared, 1));
                }
                tap->student.gain = spared->student.gain = gain ? 1 : 0;
                for (size_t i = 0; i < k; ++i)
                    huge[i] = 3e38f * tap->projection.V[i];
                assert_int_equal(vkd_tap_forward(tap, huge, &t), VKD_NOT_FINITE);
                assert_true(tap->loss == 0 && all_are_zero(tap->dx, k) && tap->refused == 1);
                assert_int_equal(tap->idle, 0);
                assert_true(vkd_tap_weigh(tap, x, 1) == 0 && tap->idle == 1);
                tap->idle = 0;
                assert_ok(vkd_tap_update(tap, 1));
                assert_int_equal(tap->refused, 0);
                if (step % 2 == 0) { // what stood before is dropped as well
                    memset(spared->projection.gradient, 0, k * sizeof(float));
                    spared->student.gradient = spared->student.curvature = 0;
                }
                assert_memory_equal(tap->projection.V, spared->projection.V, k * sizeof(float));
                assert_true(tap->student.gain == spared->student.gain);
            }
            free(x);
            vkd_tap_free(tap);
            vkd_tap_free(spared);
        }
}

// A gradient so small that the weight for it is no float32: none is asked for, and it counts as idle.
static void weights_too_large(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_CAYLEY, VKD_OPTION_STUDENT_NONE, VKD_OPTION_MODE_NONE);
    vkd_tap *tap = make(&o, tall);
    size_t in = student_size(&tall);
    float *task = normal_floats(in, 9);
    tap->dx[3] = 1e-42f;
    for (int i = 1; i <= 3; ++i) {
        assert_true(vkd_tap_weigh(tap, task, 1) == 0);
        assert_true(tap->weight == 0 && tap->ratio == 0);
        assert_int_equal(tap->idle, i);
    }
    free(task);
    vkd_tap_free(tap);
}

// map=procrustes: after one batch V = polar(sum of weight t x'), its transpose where the student is wider;
// with weights of the locations and without.
static void procrustes_weighs_its_samples(void **state) {
    (void)state;
    for (int way = 0; way < 4; ++way) {
        vkd_tap_options o =
            options_of(VKD_OPTION_MAP_PROCRUSTES, VKD_OPTION_STUDENT_NONE, VKD_OPTION_MODE_NONE);
        o.foreground = way & 1 ? 0.5f : 0;
        const vkd_tap_shape s =
            way & 2 ? (vkd_tap_shape){2, 6, 3, 4, 4, 3, 4} : (vkd_tap_shape){2, 4, 3, 4, 6, 3, 4};
        const int n = s.n, k = s.k, locations = s.h * s.w;
        vkd_tap *tap = make(&o, s);
        float *x = normal_floats(student_size(&s), 5), *t = normal_floats(teacher_size(&s), 6);
        const int rows = tap->projection.rows, cols = tap->projection.cols;
        double *C = doubles((size_t)n * k), *work = doubles(vkd_stiefel_polar_workspace(rows, cols));
        float *expected = floats((size_t)n * k);
        for (int b = 0; b < s.batch; ++b)
            for (int l = 0; l < locations; ++l) {
                float weight = 0.25f + 0.5f * (float)((7 * b + 3 * l) % 5);
                if (tap->emphasis) tap->emphasis[b * locations + l] = weight;
                for (int i = 0; i < n; ++i)
                    for (int c = 0; c < k; ++c)
                        C[n < k ? c * n + i : i * k + c] += (way & 1 ? weight : 1) *
                                                            (double)t[(b * n + i) * locations + l] *
                                                            x[(b * k + c) * locations + l];
            }
        assert_ok(vkd_stiefel_polar(C, rows, cols, 0, NULL, expected, NULL, work));
        assert_ok(vkd_tap_forward(tap, x, t));
        assert_ok(vkd_tap_update(tap, 1));
        assert_below(relative_floats(tap->projection.V, expected, (size_t)n * k) / EPS32, 30);
        free(x);
        free(t);
        free(C);
        free(work);
        free(expected);
        vkd_tap_free(tap);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gain_starts_where_lengths_agree),
        cmocka_unit_test(gain_waits_for_a_feature),
        cmocka_unit_test(degenerate_features),
        cmocka_unit_test(overflows),
        cmocka_unit_test(weights_too_large),
        cmocka_unit_test(procrustes_weighs_its_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
