#include "support.h"

#include "numerics/norm_pool.h"
#include "numerics/parallel.h"
#include "numerics/row_moments.h"

#include <float.h>

typedef struct shape {
    int batch, channels, h, w;
} shape;

// Rows of one vector of windows, of several, and of all that may be left over.
static const shape shapes[] = {{1, 1, 2, 16},  {2, 3, 4, 18}, {1, 2, 6, 20},  {3, 2, 2, 30},
                               {2, 5, 10, 32}, {1, 1, 8, 46}, {4, 3, 20, 160}};
static const float slopes[] = {1, 0.1f, 0};

typedef struct work {
    vkd_norm_pool s;
    size_t full, pooled;
    float *mean, *variance, *scale, *bias, *x, *dy, *y, *dx, *dscale, *dbias;
    uint8_t *winner;
} work;

static work make(shape t, float slope) {
    work k = {.full = (size_t)(t.batch * t.channels * t.h * t.w)};
    const size_t c = (size_t)t.channels;
    k.pooled = k.full / 4;
    k.mean = normal_floats(c, 1), k.variance = normal_floats(c, 2);
    k.scale = normal_floats(c, 3), k.bias = normal_floats(c, 4);
    for (size_t i = 0; i < c; ++i)
        k.variance[i] = k.variance[i] * k.variance[i] + 0.1f;
    k.scale[0] = -fabsf(k.scale[0]); // the largest of y is the smallest of x
    k.x = normal_floats(k.full, 5), k.dy = normal_floats(k.pooled, 6);
    k.y = floats(k.pooled), k.dx = floats(k.full), k.winner = alloc(k.pooled, 1);
    k.dscale = normal_floats(c, 7), k.dbias = normal_floats(c, 8); // +=
    k.s = (vkd_norm_pool){t.batch, t.channels, t.h, t.w, slope, k.mean, k.variance, k.scale, k.bias};
    assert_true(vkd_norm_pool_serves(&k.s));
    return k;
}

static void drop(work *k) {
    float *const all[] = {k->mean, k->variance, k->scale,  k->bias, k->x,
                          k->dy,   k->y,        k->dscale, k->dx,   k->dbias};
    for (size_t i = 0; i < COUNT(all); ++i)
        free(all[i]);
    free(k->winner);
}

// Place v of window i, in the plane of all planes.
static size_t value_at(const work *k, size_t i, int v) {
    const size_t half = (size_t)k->s.w / 2, row = i / half, column = i % half;
    return (2 * row + (size_t)v / 2) * (size_t)k->s.w + 2 * column + (size_t)v % 2;
}

static int channel_of(const work *k, size_t i) { // of window i
    return (int)(i / (size_t)(k->s.h * k->s.w / 4)) % k->s.channels;
}

static double normed(const work *k, int c, double x) {
    return (x - k->mean[c]) / (sqrt(k->variance[c]) + 1e-6) * k->scale[c] + k->bias[c];
}

static void check_forward(const work *k) {
    for (size_t i = 0; i < k->pooled; ++i) {
        double best = -INFINITY;
        for (int v = 0; v < 4; ++v)
            best = fmax(best, normed(k, channel_of(k, i), k->x[value_at(k, i, v)]));
        assert_in_range(k->winner[i], 0, 3);
        // The winner's own value is the largest but for rounding, and y is its activation.
        const double won = normed(k, channel_of(k, i), k->x[value_at(k, i, k->winner[i])]);
        assert_below(best - won, 16 * EPS32 * (1 + fabs(best)));
        assert_below(fabs(k->y[i] - (won > 0 ? won : k->s.slope * won)), 16 * EPS32 * (1 + fabs(won)));
    }
}

// Darknet's three steps: activation, batch norm's sums, what each value has of them.
static void check_backward(const work *k, const float *dscale, const float *dbias) {
    const double count = (double)k->full / k->s.channels;
    double *want = doubles(k->full), *sum = doubles((size_t)k->s.channels),
           *product = doubles((size_t)k->s.channels), *sizes = doubles((size_t)k->s.channels);
    for (size_t i = 0; i < k->pooled; ++i) {
        const int c = channel_of(k, i);
        const size_t at = value_at(k, i, k->winner[i]);
        const double d = k->dy[i] * (k->y[i] > 0 ? 1 : (double)k->s.slope);
        want[at] = d;
        sum[c] += d;
        product[c] += d * (k->x[at] - k->mean[c]);
        sizes[c] += fabs(d) * (1 + fabs(k->x[at] - k->mean[c]));
    }
    for (int c = 0; c < k->s.channels; ++c) {
        assert_below(fabs(k->dbias[c] - dbias[c] - sum[c]), 8 * EPS32 * (1 + sizes[c]));
        assert_below(fabs(k->dscale[c] - dscale[c] - product[c] / (sqrt(k->variance[c]) + 1e-6)),
                     8 * EPS32 * (1 + sizes[c] / sqrt(k->variance[c])));
    }
    for (size_t i = 0; i < 4 * k->pooled; ++i) {
        const size_t at = value_at(k, i / 4, (int)(i % 4));
        const int c = channel_of(k, i / 4);
        const double v = k->variance[c] + 1e-5, by_variance = -0.5 * product[c] * k->scale[c] * pow(v, -1.5);
        want[at] = want[at] * k->scale[c] / sqrt(v) + by_variance * 2 * (k->x[at] - k->mean[c]) / count -
                   sum[c] * k->scale[c] / sqrt(v) / count;
    }
    assert_below(relative_mixed(k->dx, want, k->full) / EPS32, 4);
    free(want);
    free(sum);
    free(product);
    free(sizes);
}

static void against_each_value(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i)
        for (size_t j = 0; j < COUNT(slopes); ++j) {
            work k = make(shapes[i], slopes[j]);
            float *dscale = copy_floats(k.dscale, (size_t)k.s.channels),
                  *dbias = copy_floats(k.dbias, (size_t)k.s.channels);
            vkd_norm_pool_forward(&k.s, k.x, k.y, k.winner);
            check_forward(&k);
            vkd_norm_pool_backward(&k.s, k.x, k.y, k.winner, k.dy, k.dx, k.dscale, k.dbias);
            check_backward(&k, dscale, dbias);
            free(dscale);
            free(dbias);
            drop(&k);
        }
}

// The first of equals wins, row by row, as in Darknet's pooling; a NaN never does.
static void ties_and_nan(void **state) {
    (void)state;
    work k = make((shape){1, 1, 2, 32}, 0.1f);
    k.mean[0] = 0, k.variance[0] = 1, k.scale[0] = 1, k.bias[0] = 0;
    for (size_t i = 0; i < 16; ++i)
        for (int v = 0; v < 4; ++v) // window i: those of its bits are ones
            k.x[value_at(&k, i, v)] = i >> v & 1 ? 1 : -1;
    vkd_norm_pool_forward(&k.s, k.x, k.y, k.winner);
    for (size_t i = 0; i < 16; ++i) {
        int first = 0;
        while (first < 4 && i && !(i >> first & 1))
            ++first;
        assert_int_equal(k.winner[i], first);
        assert_below(fabsf(k.y[i] - (i ? 1 : -0.1f)), 1e-5);
    }
    for (size_t i = 0; i < 16; ++i)
        for (int v = 0; v < 4; ++v) // NaN in the place of the ones
            if (i >> v & 1) k.x[value_at(&k, i, v)] = NAN;
    vkd_norm_pool_forward(&k.s, k.x, k.y, k.winner);
    for (size_t i = 0; i < 15; ++i)
        assert_int_equal(i >> k.winner[i] & 1, 0);
    assert_int_equal(k.winner[15], 4); // no number
    assert_true(isfinite(k.y[15]));
    drop(&k);
}

// Without a winner there is no gradient: nothing of its NaN reaches the sums.
static void no_winner_no_gradient(void **state) {
    (void)state;
    work k = make((shape){1, 1, 2, 16}, 1);
    k.dscale[0] = k.dbias[0] = 0;
    vkd_norm_pool_forward(&k.s, k.x, k.y, k.winner);
    for (int v = 0; v < 4; ++v)
        k.x[value_at(&k, 3, v)] = NAN;
    double sum = 0;
    k.winner[3] = 4;
    for (size_t i = 0; i < 8; ++i)
        sum += i == 3 ? 0 : k.dy[i];
    vkd_norm_pool_backward(&k.s, k.x, k.y, k.winner, k.dy, k.dx, k.dscale, k.dbias);
    assert_below(fabs(k.dbias[0] - sum), 16 * EPS32);
    assert_true(isfinite(k.dscale[0]));
    for (size_t i = 0; i < 8; ++i)
        assert_int_equal(isnan(k.dx[value_at(&k, i, 0)]) != 0, i == 3);
    drop(&k);
}

static void what_is_served(void **state) {
    (void)state;
    const shape not [] = {{1, 1, 3, 16}, {1, 1, 2, 17}, {1, 1, 2, 14}, {1, 1, 0, 16}};
    for (size_t i = 0; i < COUNT(not ); ++i)
        assert_false(vkd_norm_pool_serves(&(vkd_norm_pool){.h = not [i].h, .w = not [i].w}));
}

// Far from zero, where a sum of squares would lose all of its digits.
static void moments_of_rows(void **state) {
    (void)state;
    enum { BATCH = 3, CHANNELS = 2, H = 5, W = 37, ROWS = BATCH * CHANNELS * H };
    float *x = normal_floats(ROWS * W, 9), *rows = floats(2 * ROWS);
    for (int i = 0; i < ROWS * W; ++i)
        x[i] += 1000;
    vkd_moments_of_rows(x, ROWS, W, rows);
    for (int c = 0; c < CHANNELS; ++c) {
        double sum = 0, square = 0, mean, got;
        for (int pass = 0; pass < 2; ++pass)
            for (int b = 0; b < BATCH; ++b)
                for (int i = 0; i < H * W; ++i) {
                    const double value = x[(b * CHANNELS + c) * H * W + i];
                    if (pass)
                        square += (value - sum / (BATCH * H * W)) * (value - sum / (BATCH * H * W));
                    else
                        sum += value;
                }
        vkd_channel_of_rows(rows, BATCH, CHANNELS, H, W, c, &mean, &got);
        assert_below(fabs(mean - sum / (BATCH * H * W)), 1000 * EPS32);
        assert_below(fabs(got / square - 1), 1000 * EPS32);
    }
    free(x);
    free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_each_value),    cmocka_unit_test(ties_and_nan),
        cmocka_unit_test(no_winner_no_gradient), cmocka_unit_test(what_is_served),
        cmocka_unit_test(moments_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
