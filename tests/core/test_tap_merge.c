// Taps that were trained side by side become one.
#include "numerics/support.h"

#include "core/tap_merge.h"
#include "numerics/stiefel.h"

static const vkd_tap_shape shape = {2, 3, 3, 3, 7, 3, 3};
enum { matrix = 7 * 3, taps_count = 3 };

static vkd_tap_options options_of(int map, int rebase) {
    return (vkd_tap_options){
        .map = map,
        .rebase = rebase,
        .momentum = 0.9f,
        .ratio = 0.1f,
        .learning_rate = 1,
        .student_norm = VKD_OPTION_STUDENT_GAIN,
        .whiten = {.mode = VKD_OPTION_MODE_STANDARDIZE,
                   .statistics = VKD_OPTION_STATISTICS_RUNNING,
                   .momentum = 0.99f,
                   .shrinkage = 0.0625f,
                   .eps = 1e-5f},
    };
}

// Each on features of its own, from one start.
static void train(vkd_tap *tap, int seed, int batches) {
    for (int i = 0; i < batches; ++i) {
        float *x = normal_floats(2 * 3 * 9, (uint64_t)(seed + i)),
              *t = normal_floats(2 * 7 * 9, (uint64_t)(seed - i));
        assert_ok(vkd_tap_forward(tap, x, t));
        vkd_tap_weigh(tap, x, 1);
        assert_ok(vkd_tap_update(tap, 1));
        free(x);
        free(t);
    }
}

static void make_taps(vkd_tap **taps, const vkd_tap_options *o, int batches) {
    for (int i = 0; i < taps_count; ++i) {
        assert_ok(vkd_tap_create(&taps[i], o, shape, 5, 0));
        train(taps[i], 100 * (i + 1), batches);
    }
}

static void free_taps_of(vkd_tap **taps, int count) {
    for (int i = 0; i < count; ++i)
        vkd_tap_free(taps[i]);
}

static void free_taps(vkd_tap **taps) {
    free_taps_of(taps, taps_count);
}

static double distance(const float *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

// Of P, whose mean lies inside the manifold's hull: the nearest point to the mean, orthonormal, and equal on
// all.
static void projections(void **state) {
    (void)state;
    const int maps[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_CAYLEY, VKD_OPTION_MAP_HOUSEHOLDER,
                        VKD_OPTION_MAP_PROCRUSTES, VKD_OPTION_MAP_LINEAR, VKD_OPTION_MAP_FROZEN};
    for (size_t m = 0; m < COUNT(maps); ++m)
        for (int rebase = 0; rebase < 3; ++rebase) {
            vkd_tap_options o = options_of(maps[m], rebase);
            vkd_tap *taps[taps_count];
            make_taps(taps, &o, 5);
            double mean[matrix] = {0}, momentum[matrix] = {0}, apart = 0;
            for (int t = 0; t < taps_count; ++t)
                for (int i = 0; i < matrix; ++i) {
                    mean[i] += (double)taps[t]->projection.V[i] / taps_count;
                    if (taps[t]->projection.momentum)
                        momentum[i] += (double)taps[t]->projection.momentum[i] / taps_count;
                }
            for (int t = 0; t < taps_count; ++t)
                apart = fmax(apart, distance(taps[t]->projection.V, mean, matrix));
            if (maps[m] == VKD_OPTION_MAP_FROZEN)
                assert_true(apart < 1e-6);
            else
                assert_true(apart > 0.01);
            assert_ok(vkd_tap_merge(taps, taps_count));
            const vkd_projection *p = &taps[0]->projection;
            if (maps[m] == VKD_OPTION_MAP_LINEAR) {
                assert_below(distance(p->V, mean, matrix), 10 * EPS32);
            } else {
                double defect;
                assert_ok(vkd_stiefel_defect(p->V, 7, 3, &defect, p->work));
                assert_below(defect, 1e-5);
                // A mean of points so far apart lies within that distance's square of the manifold.
                bool nearest = maps[m] != VKD_OPTION_MAP_PROCRUSTES;
                assert_below(distance(p->V, mean, matrix), nearest ? apart * apart + 1e-6 : 3 * apart);
            }
            if (p->momentum) assert_below(distance(p->momentum, momentum, matrix), 1e-3);
            for (int t = 1; t < taps_count; ++t) {
                const vkd_projection *q = &taps[t]->projection;
                assert_memory_equal(p->V, q->V, sizeof(float) * matrix);
                if (p->momentum) assert_memory_equal(p->momentum, q->momentum, sizeof(float) * matrix);
                if (p->base) assert_memory_equal(p->base, q->base, sizeof(float) * matrix);
                if (p->D) assert_memory_equal(p->D, q->D, sizeof(float) * matrix);
                assert_int_equal(p->since_rebase, q->since_rebase);
            }
            // Equal taps on equal features stay equal.
            for (int t = 0; t < taps_count; ++t)
                train(taps[t], 1000, 3);
            for (int t = 1; t < taps_count; ++t) {
                assert_memory_equal(p->V, taps[t]->projection.V, sizeof(float) * matrix);
                assert_true(taps[t]->loss == taps[0]->loss && taps[t]->weight == taps[0]->weight);
            }
            free_taps(taps);
        }
}

// For the polar factor: no other point near is nearer to the three.
static void merged_point_is_the_nearest(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_MATRIX_EXP, 1);
    vkd_tap *taps[taps_count];
    make_taps(taps, &o, 5);
    double mean[matrix] = {0};
    for (int t = 0; t < taps_count; ++t)
        for (int i = 0; i < matrix; ++i)
            mean[i] += (double)taps[t]->projection.V[i] / taps_count;
    assert_ok(vkd_tap_merge(taps, taps_count));
    vkd_projection *p = &taps[0]->projection;
    double best = distance(p->V, mean, matrix);
    float *at = copy_floats(p->V, matrix);
    for (uint64_t seed = 0; seed < 20; ++seed) {
        float *step = normal_floats(matrix, seed);
        assert_ok(vkd_stiefel_project(at, step, 7, 3, p->work));
        for (int i = 0; i < matrix; ++i)
            step[i] = at[i] + 1e-2f * step[i];
        for (int i = 0; i < 5; ++i)
            assert_ok(vkd_stiefel_polish(step, 7, 3, p->work));
        assert_true(distance(step, mean, matrix) > best);
        free(step);
    }
    free(at);
    free_taps(taps);
}

// One batch each: the mean and the second moments are those of all samples together.
static void statistics(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_tap_options o = options_of(VKD_OPTION_MAP_FROZEN, 1);
        o.whiten.mode = mode;
        vkd_tap *taps[taps_count], *all;
        make_taps(taps, &o, 1);
        o.whiten.statistics = VKD_OPTION_STATISTICS_CALIBRATED;
        assert_ok(vkd_tap_create(&all, &o, shape, 5, 0));
        for (int t = 0; t < taps_count; ++t) {
            float *x = normal_floats(2 * 7 * 9, (uint64_t)(100 * (t + 1)));
            assert_ok(vkd_tap_calibrate(all, x, 2));
            free(x);
        }
        assert_ok(vkd_tap_merge(taps, taps_count));
        for (int i = 0; i < 7; ++i)
            assert_below(fabs(taps[1]->target.mean[i] - all->target.mean[i]), 1e-12);
        for (size_t i = 0; i < vkd_target_second_size(&all->target); ++i)
            assert_below(fabs(taps[2]->target.second[i] - all->target.second[i]), 1e-12);
        if (mode == VKD_OPTION_MODE_STANDARDIZE)
            for (int i = 0; i < 7; ++i)
                assert_below(fabs(taps[1]->target.inv_std[i] - 1 / sqrt(all->target.second[i] + 1e-5f)),
                             1e-6);
        vkd_tap_free(all);
        free_taps(taps);
    }
}

// Calibrated on pictures of their own, they go on with the first tap's targets.
static void calibrated_statistics(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_tap_options o = options_of(VKD_OPTION_MAP_FROZEN, 1);
        o.whiten.mode = mode;
        o.whiten.statistics = VKD_OPTION_STATISTICS_CALIBRATED;
        vkd_tap *taps[taps_count];
        make_taps(taps, &o, 0);
        float *t = normal_floats(2 * 7 * 9, 1), T[taps_count][2 * 7 * 9];
        for (int i = 0; i < taps_count; ++i) {
            float *x = normal_floats(2 * 7 * 9, (uint64_t)(100 * (i + 1)));
            assert_ok(vkd_tap_calibrate(taps[i], x, 2));
            assert_ok(vkd_target_refresh(&taps[i]->target));
            assert_ok(vkd_tap_target(taps[i], t, T[i]));
            free(x);
        }
        assert_memory_not_equal(T[0], T[1], sizeof T[0]);
        assert_ok(vkd_tap_merge(taps, taps_count));
        for (int i = 0; i < taps_count; ++i) {
            float after[2 * 7 * 9];
            assert_ok(vkd_tap_target(taps[i], t, after));
            assert_memory_equal(after, T[0], sizeof after);
            assert_int_equal(taps[i]->target.samples, taps[0]->target.samples);
            for (size_t j = 0; j < vkd_target_second_size(&taps[0]->target); ++j)
                assert_true(taps[i]->target.second[j] == taps[0]->target.second[j]);
        }
        free(t);
        free_taps(taps);
    }
}

// A GPU whose batches had no object so far has nothing to say, wherever it stands.
static void without_samples(void **state) {
    (void)state;
    const int maps[] = {VKD_OPTION_MAP_CAYLEY, VKD_OPTION_MAP_HOUSEHOLDER, VKD_OPTION_MAP_PROCRUSTES};
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
        for (size_t m = 0; m < COUNT(maps); ++m) {
            vkd_tap_options o = options_of(maps[m], 0);
            o.whiten.mode = mode;
            float V[2][matrix], applied[2][2 * 7 * 9], *t = normal_floats(2 * 7 * 9, 1);
            for (int empty = 0; empty < 2; ++empty) {
                vkd_tap *taps[2];
                for (int i = 0; i < 2; ++i) {
                    assert_ok(vkd_tap_create(&taps[i], &o, shape, 5, 0));
                    if (i != empty) train(taps[i], 100, 5);
                }
                const vkd_target *seen = &taps[1 - empty]->target;
                double mean[7], first = seen->second[0];
                memcpy(mean, seen->mean, sizeof mean);
                float alone[2 * 7 * 9];
                assert_ok(vkd_tap_target(taps[1 - empty], t, alone));
                assert_ok(vkd_tap_merge(taps, 2));
                for (int i = 0; i < 2; ++i) {
                    for (int c = 0; c < 7; ++c)
                        assert_true(taps[i]->target.mean[c] == mean[c]);
                    assert_true(taps[i]->target.second[0] == first && taps[i]->target.batches == 5);
                    assert_ok(vkd_tap_target(taps[i], t, applied[i]));
                    assert_memory_equal(applied[i], alone, sizeof alone);
                }
                train(taps[0], 1000, 3);
                memcpy(V[empty], taps[0]->projection.V, sizeof V[empty]);
                free_taps_of(taps, 2);
            }
            assert_memory_equal(V[0], V[1], sizeof V[0]);
            free(t);
        }
}

static void scalars(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_CAYLEY, 1);
    vkd_tap *taps[taps_count];
    make_taps(taps, &o, 0);
    taps[1]->student.gain = 2;
    taps[2]->student.gain = 3;
    taps[0]->task_norm = taps[0]->loss_norm = 7; // none yet: no part in it
    taps[1]->task_norm = 1, taps[1]->loss_norm = 4, taps[1]->norm_steps = 3;
    taps[2]->task_norm = 2, taps[2]->loss_norm = 2, taps[2]->norm_steps = 5;
    taps[1]->projection.gradient[3] = 1;
    assert_ok(vkd_tap_merge(taps, taps_count));
    for (int t = 0; t < taps_count; ++t) {
        assert_true(taps[t]->student.gain == 2.5);
        assert_true(taps[t]->task_norm == 1.5 && taps[t]->loss_norm == 3 && taps[t]->norm_steps == 5);
        assert_true(taps[t]->projection.gradient[3] == (t == 1));
    }
    free_taps(taps);
}

// Opposite projections have no mean on the manifold; taps of unlike kinds have none at all.
static void refusals(void **state) {
    (void)state;
    vkd_tap_options o = options_of(VKD_OPTION_MAP_CAYLEY, 1);
    vkd_tap *taps[taps_count];
    make_taps(taps, &o, 0);
    float *before = copy_floats(taps[0]->projection.V, matrix);
    for (int i = 0; i < matrix; ++i)
        taps[1]->projection.V[i] *= -1;
    assert_int_equal(vkd_tap_merge(taps, 2), VKD_SINGULAR);
    assert_memory_equal(taps[0]->projection.V, before, sizeof(float) * matrix);
    taps[1]->projection.V[4] = NAN;
    assert_int_equal(vkd_tap_merge(taps, 2), VKD_NOT_FINITE);
    assert_memory_equal(taps[0]->projection.V, before, sizeof(float) * matrix);
    assert_int_equal(vkd_tap_merge(taps, 0), VKD_INVALID_ARGUMENT);
    assert_ok(vkd_tap_merge(taps, 1));
    free_taps(taps);
    free(before);
    for (int way = 0; way < 5; ++way) {
        vkd_tap_options other = o;
        vkd_tap_shape s = shape;
        if (way == 0) other.map = VKD_OPTION_MAP_LINEAR;
        if (way == 1) other.rebase = 2;
        if (way == 2) other.student_norm = VKD_OPTION_STUDENT_NONE;
        if (way == 3) other.whiten.mode = VKD_OPTION_MODE_NONE;
        if (way == 4) s.n = 8;
        vkd_tap *pair[2];
        assert_ok(vkd_tap_create(&pair[0], &o, shape, 5, 0));
        assert_ok(vkd_tap_create(&pair[1], &other, s, 5, 0));
        assert_int_equal(vkd_tap_merge(pair, 2), VKD_INVALID_ARGUMENT);
        vkd_tap_free(pair[0]);
        vkd_tap_free(pair[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projections),     cmocka_unit_test(merged_point_is_the_nearest),
        cmocka_unit_test(statistics),      cmocka_unit_test(calibrated_statistics),
        cmocka_unit_test(without_samples), cmocka_unit_test(scalars),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("tap_merge", tests, NULL, NULL);
}
