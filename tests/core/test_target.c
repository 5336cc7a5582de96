#include "reference_target.h"

#include "core/target.h"

enum { BATCH = 3, CHANNELS = 5, LOCATIONS = 8, SIZE = BATCH * CHANNELS * LOCATIONS };

static vkd_whiten_options options_of(int mode, int statistics) {
    return (vkd_whiten_options){
        .mode = mode, .statistics = statistics, .momentum = 0.75f, .shrinkage = 0.0625f, .eps = 1e-5f};
}

// Correlated channels of unlike scales, far from zero; every seed another batch of the same kind.
static float *features(uint64_t seed) {
    float *x = normal_floats(SIZE, 100 + seed);
    for (int b = 0; b < BATCH; ++b)
        for (int i = CHANNELS - 1; i >= 0; --i)
            for (int l = 0; l < LOCATIONS; ++l) {
                float *at = x + (b * CHANNELS + i) * LOCATIONS + l;
                *at = (float)(i + 1) * (*at + (i ? 0.5f * at[-LOCATIONS] : 0)) + 3 - (float)i;
            }
    return x;
}

// Every mode over several batches against the reference, whose running statistics are those of all
// samples until the momentum is reached, and exponential then.
static void check_against_reference(const vkd_whiten_options *o) {
    enum { n = CHANNELS };
    vkd_target t;
    assert_ok(vkd_target_create(&t, o, n, BATCH, LOCATIONS));
    double mean[n] = {0}, cov[n * n] = {0}, batch_mean[n], batch_cov[n * n], expected[SIZE];
    float *y = floats(SIZE);
    for (int step = 0; step < 9; ++step) {
        float *x = features((uint64_t)step), *before = copy_floats(x, SIZE);
        double *wide = widened(x, SIZE);
        reference_moments(wide, BATCH, n, LOCATIONS, batch_mean, batch_cov);
        double keep = o->statistics == VKD_OPTION_STATISTICS_BATCH ? 0 : step / (step + 1.0);
        if (keep > o->momentum) keep = o->momentum;
        for (int i = 0; i < n * n; ++i) {
            double spread = (batch_mean[i / n] - mean[i / n]) * (batch_mean[i % n] - mean[i % n]);
            cov[i] = keep * cov[i] + (1 - keep) * batch_cov[i] + keep * (1 - keep) * spread;
        }
        for (int i = 0; i < n; ++i)
            mean[i] = keep * mean[i] + (1 - keep) * batch_mean[i];
        reference_normalize(wide, BATCH, n, LOCATIONS, o, mean, cov, expected);
        assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
        assert_memory_equal(x, before, SIZE * sizeof *x);
        assert_below(relative_mixed(y, expected, SIZE) / EPS32, 30);
        if (t.mean) assert_below(relative_doubles(t.mean, mean, n) / EPS64, 30);
        if (o->mode == VKD_OPTION_MODE_WHITEN) {
            assert_below(relative_doubles(t.second, cov, n * n) / EPS64, 100);
            assert_int_equal(t.kept, o->rank ? o->rank : n);
        }
        free(x);
        free(before);
        free(wide);
    }
    free(y);
    vkd_target_free(&t);
}

static void modes(void **state) {
    (void)state;
    for (int statistics = VKD_OPTION_STATISTICS_BATCH; statistics <= VKD_OPTION_STATISTICS_RUNNING;
         ++statistics)
        for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
            vkd_whiten_options o = options_of(mode, statistics);
            check_against_reference(&o);
            if (mode != VKD_OPTION_MODE_WHITEN) continue;
            o.rank = 2;
            check_against_reference(&o);
            o.rank = 0;
            o.shrinkage = 0;
            check_against_reference(&o);
            o.whitening = VKD_OPTION_WHITENING_CHOLESKY;
            check_against_reference(&o);
        }
}

// Sub-batches of one sample, as small objects make them: the targets have the spread of all samples.
static void one_sample_at_a_time(void **state) {
    (void)state;
    enum { n = CHANNELS, samples = BATCH * LOCATIONS };
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_RUNNING);
        o.momentum = 0.99f;
        vkd_target t;
        assert_ok(vkd_target_create(&t, &o, n, BATCH, LOCATIONS));
        float *x = features(1);
        double *wide = widened(x, SIZE), mean[n], cov[n * n];
        reference_moments(wide, BATCH, n, LOCATIONS, mean, cov);
        for (int s = 0; s < samples; ++s) {
            float one[n];
            for (int i = 0; i < n; ++i)
                one[i] = x[(s / LOCATIONS * n + i) * LOCATIONS + s % LOCATIONS];
            assert_ok(vkd_target_observe(&t, one, 1, 1));
        }
        for (int i = 0; i < n; ++i) {
            assert_below(fabs(t.mean[i] - mean[i]), 1e-12);
            for (int j = 0; j < n; ++j) {
                bool whiten = mode == VKD_OPTION_MODE_WHITEN;
                if (whiten || i == j)
                    assert_below(fabs(t.second[whiten ? i * n + j : i] - cov[i * n + j]), 1e-11);
            }
        }
        free(x);
        free(wide);
        vkd_target_free(&t);
    }
}

static void sizes_of_the_statistics(void **state) {
    (void)state;
    const size_t expected[] = {0, 0, CHANNELS, CHANNELS * CHANNELS};
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_RUNNING);
        vkd_target t;
        assert_ok(vkd_target_create(&t, &o, CHANNELS, BATCH, LOCATIONS));
        assert_int_equal(vkd_target_second_size(&t), expected[mode]);
        assert_ok(vkd_target_refresh(&t));
        vkd_target_free(&t);
        vkd_target_free(&t); // harmless again
        for (int i = 0; i < 3; ++i) {
            assert_int_equal(vkd_target_create(&t, &o, i != 0, i != 1, i != 2), VKD_INVALID_ARGUMENT);
            vkd_target_free(&t);
        }
    }
}

// The invariant: batch statistics without shrinkage give zero mean and the identity covariance; with
// rank = r, a projection on r directions.
static void whitened_is_white(void **state) {
    (void)state;
    enum { n = CHANNELS };
    for (int kind = 0; kind < 3; ++kind) {
        vkd_whiten_options o = options_of(VKD_OPTION_MODE_WHITEN, VKD_OPTION_STATISTICS_BATCH);
        o.shrinkage = 0;
        o.rank = kind == 2 ? 3 : 0;
        o.whitening = kind == 1 ? VKD_OPTION_WHITENING_CHOLESKY : VKD_OPTION_WHITENING_ZCA;
        vkd_target t;
        assert_ok(vkd_target_create(&t, &o, n, BATCH, LOCATIONS));
        float *x = features(1), *y = floats(SIZE);
        assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
        double *wide = widened(y, SIZE), mean[n], cov[n * n], square[n * n], trace = 0;
        reference_moments(wide, BATCH, n, LOCATIONS, mean, cov);
        plain_product(cov, cov, n, n, n, square); // cov is a projection: its own square
        for (int i = 0; i < n; ++i) {
            assert_below(fabs(mean[i]) / EPS32, 30);
            trace += cov[i * n + i];
            for (int j = 0; j < n; ++j) {
                assert_below(fabs(square[i * n + j] - cov[i * n + j]) / (t.condition * EPS32), 30);
                if (!o.rank) assert_below(fabs(cov[i * n + j] - (i == j)) / (t.condition * EPS32), 30);
            }
        }
        assert_below(fabs(trace - (o.rank ? o.rank : n)) / (t.condition * EPS32), 30);
        assert_int_equal(t.kept, o.rank ? o.rank : n);
        free(x);
        free(y);
        free(wide);
        vkd_target_free(&t);
    }
}

// A dead channel comes out as zero, not as NaN.
static void constant_channel(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
        for (int all = 0; all < 2; ++all) {
            vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_RUNNING);
            o.shrinkage = 0;
            vkd_target t;
            assert_ok(vkd_target_create(&t, &o, CHANNELS, BATCH, LOCATIONS));
            float *x = features(2), *y = floats(SIZE);
            for (int i = 0; i < SIZE; ++i)
                if (all || i / LOCATIONS % CHANNELS == 3) x[i] = -0.25f;
            assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
            for (int i = 0; i < SIZE; ++i) {
                assert_true(isfinite(y[i]));
                bool dead = all || i / LOCATIONS % CHANNELS == 3;
                // Whitening's rounding is multiplied by the floor's 1 / sqrt(eps).
                if (dead && mode == VKD_OPTION_MODE_STANDARDIZE) assert_true(y[i] == 0);
                if (dead && mode == VKD_OPTION_MODE_WHITEN) assert_below(fabs(y[i]), 1e4 * EPS32);
                if (all && mode == VKD_OPTION_MODE_LAYERNORM) assert_true(y[i] == 0);
            }
            if (mode == VKD_OPTION_MODE_WHITEN) assert_int_equal(t.kept, all ? 0 : CHANNELS - 1);
            free(x);
            free(y);
            vkd_target_free(&t);
        }
}

static void *copy_bytes(const void *from, size_t bytes) {
    void *to = alloc(bytes, 1);
    if (bytes) memcpy(to, from, bytes);
    return to;
}

// Statistics and what is applied stay, bit for bit, and the next batch is taken in as if nothing had been.
static void not_finite(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int statistics = VKD_OPTION_STATISTICS_BATCH; statistics <= VKD_OPTION_STATISTICS_RUNNING;
         ++statistics)
        for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode)
            for (size_t v = 0; v < COUNT(bad); ++v)
                for (int at = 0; at < SIZE; at += 7) {
                    vkd_whiten_options o = options_of(mode, statistics);
                    vkd_target t;
                    assert_ok(vkd_target_create(&t, &o, CHANNELS, BATCH, LOCATIONS));
                    float *x = features(3), *y = floats(SIZE);
                    assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
                    size_t second = vkd_target_second_size(&t), n = second ? CHANNELS : 0;
                    size_t w = t.W ? second : 0;
                    void *held[] = {
                        copy_bytes(t.mean, n * sizeof(double)), copy_bytes(t.second, second * sizeof(double)),
                        copy_bytes(t.offset, n * sizeof(float)), copy_bytes(t.inv_std, n * sizeof(float)),
                        copy_bytes(t.W, w * sizeof(float))};
                    x[at] = bad[v];
                    assert_int_equal(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y), VKD_NOT_FINITE);
                    assert_int_equal(t.batches, second ? 1 : 0);
                    if (n) {
                        assert_memory_equal(t.mean, held[0], n * sizeof(double));
                        assert_memory_equal(t.second, held[1], second * sizeof(double));
                        assert_memory_equal(t.offset, held[2], n * sizeof(float));
                        assert_memory_equal(t.inv_std, held[3], n * sizeof(float));
                    }
                    if (w) assert_memory_equal(t.W, held[4], w * sizeof(float));
                    for (size_t i = 0; i < COUNT(held); ++i)
                        free(held[i]);
                    free(x);
                    free(y);
                    vkd_target_free(&t);
                }
}

// Running whitening makes its matrix at each of the first 32 batches and then at every 32nd.
static void whitening_lags(void **state) {
    (void)state;
    vkd_whiten_options o = options_of(VKD_OPTION_MODE_WHITEN, VKD_OPTION_STATISTICS_RUNNING);
    vkd_target t;
    assert_ok(vkd_target_create(&t, &o, CHANNELS, BATCH, LOCATIONS));
    float W[CHANNELS * CHANNELS] = {0}, offset[CHANNELS] = {0}, *y = floats(SIZE);
    for (int step = 1; step <= 100; ++step) {
        float *x = features((uint64_t)step);
        assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
        free(x);
        bool made = memcmp(W, t.W, sizeof W) != 0;
        assert_int_equal(made, step <= 32 || step % 32 == 0);
        assert_int_equal(memcmp(offset, t.offset, sizeof offset) != 0, made); // never one without the other
        memcpy(W, t.W, sizeof W);
        memcpy(offset, t.offset, sizeof offset);
    }
    free(y);
    vkd_target_free(&t);
}

// Restored from a sidecar's mean and second, refreshed: the same output for a batch as the original gives.
static void refresh_after_restoring(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_RUNNING);
        vkd_target t, u;
        assert_ok(vkd_target_create(&t, &o, CHANNELS, BATCH, LOCATIONS));
        assert_ok(vkd_target_create(&u, &o, CHANNELS, BATCH, LOCATIONS));
        float *y = floats(SIZE), *z = floats(SIZE);
        for (int step = 0; step < 6; ++step) {
            float *x = features((uint64_t)step);
            assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
            free(x);
        }
        size_t second = vkd_target_second_size(&t);
        memcpy(u.mean, t.mean, CHANNELS * sizeof(double));
        memcpy(u.second, t.second, second * sizeof(double));
        u.batches = t.batches;
        assert_ok(vkd_target_refresh(&u));
        assert_memory_equal(u.offset, t.offset, CHANNELS * sizeof(float));
        if (t.W)
            assert_memory_equal(u.W, t.W, second * sizeof(float));
        else
            assert_memory_equal(u.inv_std, t.inv_std, CHANNELS * sizeof(float));
        float *x = features(9);
        assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
        assert_ok(vkd_target_normalize(&u, x, BATCH, LOCATIONS, z));
        assert_memory_equal(y, z, SIZE * sizeof(float));
        free(x);
        free(y);
        free(z);
        vkd_target_free(&t);
        vkd_target_free(&u);
    }
}

// Another grid, larger and smaller, keeps the statistics.
static void resizing(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_RUNNING);
        vkd_target t;
        assert_ok(vkd_target_create(&t, &o, CHANNELS, 1, 1));
        float *x = features(1), *y = floats(SIZE);
        const int grids[][2] = {{1, 1}, {BATCH, LOCATIONS}, {1, BATCH * LOCATIONS}, {2, 3}};
        for (size_t g = 0; g < COUNT(grids); ++g) {
            double held = t.mean ? t.mean[0] : 0;
            assert_ok(vkd_target_resize(&t, grids[g][0], grids[g][1]));
            if (t.mean) assert_true(t.mean[0] == held);
            assert_ok(vkd_target_normalize(&t, x, grids[g][0], grids[g][1], y));
            assert_int_equal(t.batches, vkd_target_second_size(&t) ? g + 1 : 0);
        }
        free(x);
        free(y);
        vkd_target_free(&t);
    }
}

// Batches of unlike sizes and kinds, taken in one by one, against the moments of all of them at once.
static void calibrated(void **state) {
    (void)state;
    enum { n = CHANNELS, calls = 6 };
    for (int mode = VKD_OPTION_MODE_STANDARDIZE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        vkd_whiten_options o = options_of(mode, VKD_OPTION_STATISTICS_CALIBRATED);
        vkd_target t;
        assert_ok(vkd_target_create(&t, &o, n, BATCH, LOCATIONS));
        assert_true(vkd_target_needs_calibration(&t));
        float *all = floats(calls * SIZE), *y = floats(SIZE);
        int samples = 0;
        for (int step = 0; step < calls; ++step) {
            float *x = features((uint64_t)step);
            for (int i = 0; i < SIZE; ++i)
                x[i] += (float)step; // the means move: the term between the batches counts
            int batch = 1 + step % BATCH;
            // `all` as one image of so many locations, filled by columns.
            for (int b = 0; b < batch; ++b)
                for (int i = 0; i < n; ++i)
                    for (int l = 0; l < LOCATIONS; ++l)
                        all[i * calls * BATCH * LOCATIONS + samples + b * LOCATIONS + l] =
                            x[(b * n + i) * LOCATIONS + l];
            assert_ok(vkd_target_calibrate(&t, x, batch, LOCATIONS));
            samples += batch * LOCATIONS;
            assert_int_equal(t.samples, samples);
            double *mean = widened((float[n]){0}, n);
            memcpy(mean, t.mean, n * sizeof *mean);
            x[7] = NAN;
            assert_int_equal(vkd_target_calibrate(&t, x, batch, LOCATIONS), VKD_NOT_FINITE);
            assert_memory_equal(mean, t.mean, n * sizeof *mean);
            assert_int_equal(t.samples, samples);
            free(mean);
            free(x);
        }
        assert_false(vkd_target_needs_calibration(&t));
        assert_ok(vkd_target_refresh(&t));
        double *wide = doubles((size_t)n * (size_t)samples), mean[n], cov[n * n], expected[SIZE];
        for (int i = 0; i < n; ++i)
            for (int l = 0; l < samples; ++l)
                wide[i * samples + l] = all[i * calls * BATCH * LOCATIONS + l];
        reference_moments(wide, 1, n, samples, mean, cov);
        assert_below(relative_doubles(t.mean, mean, n) / EPS64, 30);
        if (mode == VKD_OPTION_MODE_WHITEN) assert_below(relative_doubles(t.second, cov, n * n) / EPS64, 100);
        // A training step applies them and leaves them as they are.
        float *x = features(9);
        double *wide_x = widened(x, SIZE), *second = doubles(n * n);
        memcpy(second, t.second, vkd_target_second_size(&t) * sizeof *second);
        reference_normalize(wide_x, BATCH, n, LOCATIONS, &o, mean, cov, expected);
        assert_ok(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y));
        assert_below(relative_mixed(y, expected, SIZE) / EPS32, 30);
        assert_memory_equal(second, t.second, vkd_target_second_size(&t) * sizeof *second);
        x[3] = INFINITY;
        assert_int_equal(vkd_target_normalize(&t, x, BATCH, LOCATIONS, y), VKD_NOT_FINITE);
        void *blocks[] = {all, y, wide, x, wide_x, second};
        for (size_t i = 0; i < COUNT(blocks); ++i)
            free(blocks[i]);
        vkd_target_free(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(one_sample_at_a_time),
        cmocka_unit_test(calibrated),
        cmocka_unit_test(sizes_of_the_statistics),
        cmocka_unit_test(whitened_is_white),
        cmocka_unit_test(constant_channel),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(whitening_lags),
        cmocka_unit_test(refresh_after_restoring),
        cmocka_unit_test(resizing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
