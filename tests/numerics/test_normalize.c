#include "support.h"

#include "numerics/normalize.h"
#include "reference/normalize.h"

#ifdef _OPENMP
#include <omp.h>
#endif

enum { B = 2, C = 3, HW = 5, N = B * C * HW };
static const float eps = 1e-3f;

typedef struct shape {
    int batch, c, hw;
} shape;

// Lanes of 8 and tiles of 128: below, at and above both; one sample, one channel.
static const shape shapes[] = {{2, 3, 5}, {1, 4, 1},   {3, 1, 9},  {1, 1, 1},
                               {1, 7, 8}, {2, 5, 128}, {3, 4, 300}};

// The definitions, with the samples of one group gathered first: a channel's, or a location's.
static size_t group_index(const shape s, int per_location, int group, int i) {
    if (per_location) return ((size_t)(group / s.hw) * s.c + i) * s.hw + group % s.hw;
    return ((size_t)(i / s.hw) * s.c + group) * s.hw + i % s.hw;
}

static void plain_forward(const double *x, const shape s, int per_location, double e, double *y) {
    const int groups = per_location ? s.batch * s.hw : s.c, count = per_location ? s.c : s.batch * s.hw;
    for (int g = 0; g < groups; ++g) {
        double mean = 0, variance = 0;
        for (int i = 0; i < count; ++i)
            mean += x[group_index(s, per_location, g, i)] / count;
        for (int i = 0; i < count; ++i)
            variance += pow(x[group_index(s, per_location, g, i)] - mean, 2) / count;
        for (int i = 0; i < count; ++i) {
            const size_t at = group_index(s, per_location, g, i);
            y[at] = (x[at] - mean) / sqrt(variance + e);
        }
    }
}

static void against_torch(void **state) {
    (void)state;
    float y[N], mean[C], inv_std[C], location[B * HW], dx[N];
    double m[C], v[C];
    vkd_channel_moments(reference_x, B, C, HW, m, v);
    assert_below(relative_doubles(m, reference_mean, C) / EPS64, 30);
    assert_below(relative_doubles(v, reference_variance, C) / EPS64, 30);
    vkd_standardize_forward(reference_x, B, C, HW, eps, y, mean, inv_std);
    assert_below(relative_floats(y, reference_standardized, N) / EPS32, 2);
    for (int i = 0; i < C; ++i) {
        assert_below(fabs(mean[i] / m[i] - 1) / EPS32, 1);
        assert_below(fabs(inv_std[i] * sqrt(v[i] + eps) - 1) / EPS32, 1);
    }
    vkd_standardize_backward(reference_dy, y, inv_std, B, C, HW, dx);
    assert_below(relative_floats(dx, reference_standardize_dx, N) / EPS32, 8);
    vkd_layernorm_forward(reference_x, B, C, HW, eps, y, location);
    assert_below(relative_floats(y, reference_layernorm, N) / EPS32, 2);
    vkd_layernorm_backward(reference_dy, y, location, B, C, HW, dx);
    // Here 1 - mean(y^2) is small for c = 3 and dx is what is left of dy: scale by inv_std |dy|.
    double error = 0, size = 0;
    for (int i = 0; i < N; ++i) {
        const double s = location[i / (C * HW) * HW + i % HW];
        error += pow((double)dx[i] - reference_layernorm_dx[i], 2);
        size += pow(s * reference_dy[i], 2);
    }
    assert_below(sqrt(error / size) / EPS32, 4);
}

// Mean 0 and variance v / (v + eps) per group, for data far from zero.
static void invariants(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(shapes); ++k)
        for (int per_location = 0; per_location < 2; ++per_location) {
            const shape s = shapes[k];
            const int n = s.batch * s.c * s.hw, groups = per_location ? s.batch * s.hw : s.c;
            const int count = n / groups;
            float *x = normal_floats(n, k), *y = floats(n), *mean = floats(s.c), *inv_std = floats(groups);
            for (int i = 0; i < n; ++i)
                x[i] += 1000;
            if (per_location)
                vkd_layernorm_forward(x, s.batch, s.c, s.hw, 1e-5f, y, inv_std);
            else
                vkd_standardize_forward(x, s.batch, s.c, s.hw, 1e-5f, y, mean, inv_std);
            for (int g = 0; g < groups; ++g) {
                double sum = 0, squares = 0, m = 0, v = 0;
                for (int i = 0; i < count; ++i)
                    m += x[group_index(s, per_location, g, i)] / (double)count;
                for (int i = 0; i < count; ++i) {
                    const size_t at = group_index(s, per_location, g, i);
                    sum += y[at];
                    squares += (double)y[at] * y[at];
                    v += pow(x[at] - m, 2) / count;
                }
                assert_below(fabs(sum / count), 4 * EPS32);
                assert_below(fabs(squares / count - v / (v + 1e-5f)), 8 * EPS32);
            }
            // y may be x
            if (per_location)
                vkd_layernorm_forward(x, s.batch, s.c, s.hw, 1e-5f, x, inv_std);
            else
                vkd_standardize_forward(x, s.batch, s.c, s.hw, 1e-5f, x, mean, inv_std);
            assert_memory_equal(x, y, n * sizeof *x);
            free(x);
            free(y);
            free(mean);
            free(inv_std);
        }
}

// Backward against central differences of the float64 definition, entry by entry, and
// <J v, w> = <v, J'w>.
static void backward(void **state) {
    (void)state;
    const double h = 1e-5;
    for (size_t k = 0; k < COUNT(shapes); ++k)
        for (int per_location = 0; per_location < 2; ++per_location) {
            const shape s = shapes[k];
            const int n = s.batch * s.c * s.hw, groups = per_location ? s.batch * s.hw : s.c;
            float *x = normal_floats(n, k), *w = normal_floats(n, 10 + k), *v = normal_floats(n, 20 + k);
            float *y = floats(n), *dx = floats(n), *mean = floats(s.c), *inv_std = floats(groups);
            double *point = widened(x, n), *plus = doubles(n), *minus = doubles(n);
            if (per_location) {
                vkd_layernorm_forward(x, s.batch, s.c, s.hw, eps, y, inv_std);
                vkd_layernorm_backward(w, y, inv_std, s.batch, s.c, s.hw, dx);
            } else {
                vkd_standardize_forward(x, s.batch, s.c, s.hw, eps, y, mean, inv_std);
                vkd_standardize_backward(w, y, inv_std, s.batch, s.c, s.hw, dx);
            }
            double largest = 0; // what float32 rounding in y and dy is multiplied by
            for (int g = 0; g < groups; ++g)
                largest = fmax(largest, inv_std[g]);
            const double tolerance = (h + 4 * EPS32) * largest * norm_floats(w, n);
            for (int i = 0; i < n; i += 1 + n / 40) { // some forty entries
                double want = 0;
                const double step = h / largest;
                point[i] = x[i] + step;
                plain_forward(point, s, per_location, eps, plus);
                point[i] = x[i] - step;
                plain_forward(point, s, per_location, eps, minus);
                point[i] = x[i];
                for (int j = 0; j < n; ++j)
                    want += w[j] * (plus[j] - minus[j]) / (2 * step);
                assert_below(fabs(dx[i] - want), tolerance * 0.1);
            }
            double left = 0;
            const double step = h / largest;
            for (int i = 0; i < n; ++i)
                point[i] = x[i] + step * v[i];
            plain_forward(point, s, per_location, eps, plus);
            for (int i = 0; i < n; ++i)
                point[i] = x[i] - step * v[i];
            plain_forward(point, s, per_location, eps, minus);
            for (int i = 0; i < n; ++i)
                left += w[i] * (plus[i] - minus[i]) / (2 * step);
            assert_below(fabs(left - dot_floats(v, dx, n)), tolerance * 0.1 * norm_floats(v, n));
            // dx may be dy
            if (per_location)
                vkd_layernorm_backward(w, y, inv_std, s.batch, s.c, s.hw, w);
            else
                vkd_standardize_backward(w, y, inv_std, s.batch, s.c, s.hw, w);
            assert_memory_equal(w, dx, n * sizeof *w);
            free(x);
            free(w);
            free(v);
            free(y);
            free(dx);
            free(mean);
            free(inv_std);
            free(point);
            free(plus);
            free(minus);
        }
}

// A spread of 1e-3 around 1e4 has 1 bit per step of the float grid left; the moments are those of
// the stored values.
static void moments_far_from_zero(void **state) {
    (void)state;
    const int batch = 3, c = 2, hw = 1001;
    float *x = normal_floats(batch * c * hw, 1);
    for (int i = 0; i < batch * c * hw; ++i)
        x[i] = 1e4f + 0.01f * x[i];
    double mean[2], variance[2];
    vkd_channel_moments(x, batch, c, hw, mean, variance);
    for (int channel = 0; channel < c; ++channel) {
        long double m = 0, v = 0;
        for (int b = 0; b < batch; ++b)
            for (int i = 0; i < hw; ++i)
                m += x[(b * c + channel) * hw + i];
        m /= batch * hw;
        for (int b = 0; b < batch; ++b)
            for (int i = 0; i < hw; ++i)
                v += (x[(b * c + channel) * hw + i] - m) * (x[(b * c + channel) * hw + i] - m);
        v /= batch * hw;
        assert_below(fabs((double)(mean[channel] / m - 1)) / EPS64, 30);
        assert_below(fabs((double)(variance[channel] / v - 1)), 1e-12);
    }
    free(x);
}

static void apply(void **state) {
    (void)state;
    float y[N], x[N];
    const float mean[] = {0.5f, 30, -4}, inv_std[] = {1, 10, 0.25f};
    vkd_normalize_apply(reference_x, B, C, HW, mean, inv_std, y);
    for (int i = 0; i < N; ++i) {
        const int c = i / HW % C;
        const double want = ((double)reference_x[i] - mean[c]) * inv_std[c];
        const double size = (fabs(reference_x[i]) + fabs(mean[c])) * inv_std[c];
        assert_below(fabs(y[i] - want), size * EPS32);
    }
    memcpy(x, reference_x, sizeof x);
    vkd_normalize_apply(x, B, C, HW, mean, inv_std, x);
    assert_memory_equal(x, y, sizeof x);
}

// A constant channel, one sample, one channel: zero out, zero back, nothing infinite. And a NaN
// poisons its own group, not the others.
static void degenerate(void **state) {
    (void)state;
    float x[N], y[N], mean[C], inv_std[C], location[B * HW], dx[N];
    double m[C], v[C];
    for (int i = 0; i < N; ++i)
        x[i] = 0.1f; // not a binary fraction
    vkd_channel_moments(x, B, C, HW, m, v);
    for (int i = 0; i < C; ++i)
        assert_below(v[i], 1e-30);
    vkd_standardize_forward(x, B, C, HW, 1e-5f, y, mean, inv_std);
    for (int i = 0; i < N; ++i)
        assert_below(fabs(y[i]), 1e-5);
    vkd_standardize_backward(reference_dy, y, inv_std, B, C, HW, dx);
    for (int i = 0; i < N; ++i)
        assert_true(isfinite(dx[i]));
    vkd_layernorm_forward(x, B, C, HW, 1e-5f, y, location);
    for (int i = 0; i < N; ++i)
        assert_below(fabs(y[i]), 1e-5);

    vkd_standardize_forward(reference_x, 1, N, 1, eps, y, x, dx); // one sample
    for (int i = 0; i < N; ++i)
        assert_true(y[i] == 0);
    vkd_layernorm_forward(reference_x, 1, 1, N, eps, y, x); // one channel
    for (int i = 0; i < N; ++i)
        assert_true(y[i] == 0);

    memcpy(x, reference_x, sizeof x);
    x[HW] = NAN; // image 0, channel 1, location 0
    vkd_channel_moments(x, B, C, HW, m, v);
    assert_true(isnan(m[1]) && isnan(v[1]) && isfinite(m[0]) && isfinite(v[2]));
    vkd_standardize_forward(x, B, C, HW, eps, y, mean, inv_std);
    for (int i = 0; i < N; ++i)
        assert_true(!isfinite(y[i]) == (i / HW % C == 1));
    vkd_layernorm_forward(x, B, C, HW, eps, y, location);
    for (int i = 0; i < N; ++i)
        assert_true(!isfinite(y[i]) == (i < C * HW && i % HW == 0));
}

static void any_number_of_threads(void **state) {
    (void)state;
#ifdef _OPENMP
    const shape s = {3, 5, 300};
    const int n = s.batch * s.c * s.hw, threads = omp_get_max_threads();
    float *x = normal_floats(n, 1), *dy = normal_floats(n, 2), *result[4], *y = floats(n);
    float mean[5], inv_std[5], *location = floats(s.batch * s.hw);
    for (int r = 0; r < 4; ++r)
        result[r] = floats(n);
    for (int t = 1; t <= 4; ++t) {
        omp_set_num_threads(t);
        for (int r = 0; r < 4; ++r) {
            if (r < 2) vkd_standardize_forward(x, s.batch, s.c, s.hw, eps, y, mean, inv_std);
            if (r == 1) vkd_standardize_backward(dy, y, inv_std, s.batch, s.c, s.hw, y);
            if (r >= 2) vkd_layernorm_forward(x, s.batch, s.c, s.hw, eps, y, location);
            if (r == 3) vkd_layernorm_backward(dy, y, location, s.batch, s.c, s.hw, y);
            if (t == 1)
                memcpy(result[r], y, n * sizeof *y);
            else
                assert_memory_equal(result[r], y, n * sizeof *y);
        }
    }
    omp_set_num_threads(threads);
    for (int r = 0; r < 4; ++r)
        free(result[r]);
    free(x);
    free(dy);
    free(y);
    free(location);
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_torch),         cmocka_unit_test(invariants), cmocka_unit_test(backward),
        cmocka_unit_test(moments_far_from_zero), cmocka_unit_test(apply),      cmocka_unit_test(degenerate),
        cmocka_unit_test(any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
