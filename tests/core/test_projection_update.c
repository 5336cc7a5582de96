// How a projection moves, and when it does not.
#include "projection_cases.h"

#include "numerics/cayley.h"
#include "numerics/householder.h"
#include "numerics/matrix_exp.h"
#include "numerics/stiefel.h"

#include <float.h>

static const vkd_option_map moving[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_CAYLEY,
                                        VKD_OPTION_MAP_HOUSEHOLDER, VKD_OPTION_MAP_LINEAR};
enum { BASED = 3 }; // the first of them have a base

static const vkd_orthogonal_map *maps[] = {&vkd_map_matrix_exp, &vkd_map_cayley, &vkd_map_householder};

// |P X - T|^2 with T = P* X: the step shrinks with the rate, and P arrives at P*.
static void descends_to_a_planted_map(void **state) {
    (void)state;
    enum { samples = 40, updates = 800 };
    const size_pair cases[] = {{12, 4}, {6, 6}, {4, 12}, {9, 1}};
    for (size_t m = 0; m < COUNT(moving); ++m)
        for (size_t s = 0; s < COUNT(cases); ++s) {
            int n = cases[s].n, k = cases[s].k;
            vkd_projection p = make(moving[m], n, k, 4, s), planted = make(moving[m], n, k, 5, s);
            size_t size = elements(&p);
            if (n == k) { // O(n) falls into two parts: stay in the start's
                float *turn = normal_floats(size, 3);
                for (size_t i = 0; i < size; ++i)
                    turn[i] *= 0.15f;
                memcpy(planted.V, p.V, size * sizeof(float));
                vkd_stiefel_project(p.V, turn, p.rows, p.cols, p.work);
                double *work = doubles(vkd_map_workspace(maps[0], p.rows, p.cols));
                assert_ok(vkd_map_forward(maps[0], planted.V, turn, p.rows, p.cols, planted.V, work));
                free(work);
                free(turn);
            }
            float *x = normal_floats((size_t)k * samples, 1), *t = floats((size_t)n * samples);
            float *e = floats((size_t)n * samples);
            vkd_projection_apply(&planted, x, samples, t);
            double start = distance(p.V, planted.V, size);
            assert_true(start > 0.5);
            for (int i = 0; i < updates; ++i) {
                add_gradient(&p, x, t, samples, e);
                assert_ok(vkd_projection_update(&p, 1 - (double)i / updates));
            }
            // In the wide case V has columns that X pins down as well: X has rank k.
            assert_below(distance(p.V, planted.V, size) / sqrt(p.cols), 2e-3);
            if (moving[m] != VKD_OPTION_MAP_LINEAR)
                assert_below(defect(p.V, p.rows, p.cols), 30 * EPS32 * sqrt(p.cols));
            free(x);
            free(t);
            free(e);
            vkd_projection_free(&p);
            vkd_projection_free(&planted);
        }
}

static void stays_orthonormal(void **state) {
    (void)state;
    const size_pair cases[] = {{32, 8}, {8, 8}, {8, 32}, {7, 1}, {1, 1}};
    for (size_t m = 0; m < BASED; ++m)
        for (size_t s = 0; s < COUNT(cases); ++s) {
            vkd_projection p = make(moving[m], cases[s].n, cases[s].k, 6, s);
            size_t size = elements(&p);
            double worst = 0;
            for (int i = 0; i < 2000; ++i) {
                float *g = normal_floats(size, (uint64_t)i);
                memcpy(p.gradient, g, size * sizeof *g);
                free(g);
                assert_ok(vkd_projection_update(&p, i % 3 == 0 ? 10 : 1));
                double d = defect(p.V, p.rows, p.cols);
                if (i > 0 && size > 1) assert_below(fabs(d - p.defect), 1e-12);
                if (!(d <= worst)) worst = d;
            }
            assert_below(worst, 30 * EPS32 * sqrt(p.cols));
            vkd_projection_free(&p);
        }
}

// The first step: against the Riemannian gradient, as long as its angle says, whatever the gradient's scale.
static void step_is_an_angle(void **state) {
    (void)state;
    const size_pair cases[] = {{32, 8}, {8, 8}, {8, 32}, {7, 1}};
    const double rates[] = {1, 0.25, 3};
    const float scales[] = {1, 1e-12f, 1e12f};
    for (size_t m = 0; m < COUNT(moving); ++m)
        for (size_t s = 0; s < COUNT(cases); ++s)
            for (size_t r = 0; r < COUNT(rates); ++r) {
                vkd_projection p = make(moving[m], cases[s].n, cases[s].k, 8, s);
                size_t size = elements(&p);
                float *before = copy_floats(p.V, size), *xi = normal_floats(size, 9);
                for (size_t i = 0; i < size; ++i)
                    p.gradient[i] = xi[i] * scales[r];
                bool linear = moving[m] == VKD_OPTION_MAP_LINEAR;
                if (!linear) assert_ok(vkd_stiefel_tangent_gradient(p.V, xi, xi, p.rows, p.cols, p.work));
                assert_ok(vkd_projection_update(&p, rates[r]));
                double length = 0.02 * rates[r] * sqrt(p.cols), moved = distance(p.V, before, size);
                // A chord is shorter than its arc: by a 1/24 of the angle's square for one turn, and no more
                // than 1/6 of the largest turn's here.
                assert_below(fabs(moved / length - 1), linear ? 1e-5 : rates[r] * rates[r] * 1e-3);
                for (size_t i = 0; i < size; ++i)
                    before[i] = p.V[i] - before[i];
                double cosine = dot_floats(before, xi, size) / (norm_floats(xi, size) * moved);
                assert_below(cosine, -1 + (linear ? 1e-6 : rates[r] * rates[r] * 2e-3));
                for (size_t i = 0; i < size; ++i)
                    assert_true(p.gradient[i] == 0);
                free(before);
                free(xi);
                vkd_projection_free(&p);
            }
}

// A step large enough to tell the maps apart, and of a P of another length where nothing binds it.
static void each_map_has_its_own_step(void **state) {
    (void)state;
    enum { n = 9, k = 4, size = n * k };
    for (size_t m = 0; m < COUNT(moving); ++m) {
        vkd_projection p = make(moving[m], n, k, 13, 0);
        bool linear = moving[m] == VKD_OPTION_MAP_LINEAR;
        for (int i = 0; i < size && linear; ++i)
            p.V[i] *= 3;
        float *expected = copy_floats(p.V, size), *D = normal_floats(size, 14);
        memcpy(p.gradient, D, size * sizeof *D);
        if (!linear) assert_ok(vkd_stiefel_tangent_gradient(p.V, D, D, n, k, p.work));
        double scale = -0.02 * 25 * norm_floats(p.V, size) / norm_floats(D, size);
        for (int i = 0; i < size; ++i) {
            D[i] *= (float)scale;
            if (linear) expected[i] += D[i];
        }
        if (!linear) assert_ok(vkd_map_forward(maps[m], expected, D, n, k, expected, p.work));
        assert_ok(vkd_projection_update(&p, 25));
        assert_below(relative_floats(p.V, expected, size) / EPS32, 30);
        free(expected);
        free(D);
        vkd_projection_free(&p);
    }
}

// momentum = 0.9 (its tangent part at V) + the Riemannian gradient.
static void momentum_decays(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(moving); ++m) {
        vkd_projection p = make(moving[m], 9, 4, 10, 0);
        bool linear = moving[m] == VKD_OPTION_MAP_LINEAR;
        float *expected = floats(36);
        for (int step = 0; step < 5; ++step) {
            float *g = normal_floats(36, 20 + (uint64_t)step);
            memcpy(p.gradient, g, 36 * sizeof *g);
            if (!linear) {
                assert_ok(vkd_stiefel_tangent_gradient(p.V, g, g, 9, 4, p.work));
                assert_ok(vkd_stiefel_project(p.V, expected, 9, 4, p.work));
            }
            for (int i = 0; i < 36; ++i)
                expected[i] = 0.9f * expected[i] + g[i];
            assert_ok(vkd_projection_update(&p, 1));
            assert_below(relative_floats(p.momentum, expected, 36) / EPS32, 30);
            free(g);
        }
        free(expected);
        vkd_projection_free(&p);
    }
}

enum { RATE_ZERO, GRADIENT_ZERO, GRADIENT_NAN, GRADIENT_INFINITE, GRADIENT_OVERFLOWS, FROZEN, WAYS_TO_STAY };

// P as it was, bit for bit, the gradient zero, and the next good gradient moves it again.
static void check_stays(vkd_option_map map, size_pair size, int way) {
    if (way == FROZEN) map = VKD_OPTION_MAP_FROZEN;
    vkd_projection p = make(map, size.n, size.k, 11, 0);
    size_t count = elements(&p);
    float *g = normal_floats(count, 30);
    memcpy(p.gradient, g, count * sizeof *g);
    assert_ok(vkd_projection_update(&p, 1)); // leaves a momentum
    float *V = copy_floats(p.V, count), *momentum = copy_floats(p.momentum, count);
    if (way != GRADIENT_ZERO) memcpy(p.gradient, g, count * sizeof *g);
    if (way == GRADIENT_NAN) p.gradient[count - 1] = NAN;
    if (way == GRADIENT_INFINITE) p.gradient[0] = -INFINITY;
    if (way == GRADIENT_OVERFLOWS)
        for (size_t i = 0; i < count; ++i) {
            p.gradient[i] = i % 2 ? FLT_MAX : -FLT_MAX;
            p.momentum[i] = p.gradient[i];
        }
    vkd_status status = vkd_projection_update(&p, way == RATE_ZERO ? 0 : 1);
    bool refused = way == GRADIENT_NAN || way == GRADIENT_INFINITE || way == GRADIENT_OVERFLOWS;
    assert_int_equal(status, refused ? VKD_NOT_FINITE : VKD_OK);
    assert_memory_equal(p.V, V, count * sizeof *V);
    for (size_t i = 0; i < count; ++i)
        assert_true(p.gradient[i] == 0 && isfinite(p.momentum[i]));
    if (way != RATE_ZERO && way != GRADIENT_OVERFLOWS)
        assert_memory_equal(p.momentum, momentum, count * sizeof *momentum);
    memcpy(p.gradient, g, count * sizeof *g);
    assert_ok(vkd_projection_update(&p, 1));
    if (way == FROZEN)
        assert_memory_equal(p.V, V, count * sizeof *V);
    else
        assert_true(distance(p.V, V, count) > 0.01);
    free(g);
    free(V);
    free(momentum);
    vkd_projection_free(&p);
}

// Past bugs among them: a gradient of zero let the momentum alone turn P by the full angle, for ever, and a
// gradient near FLT_MAX left an infinity in the momentum (and a NaN in P where map=linear).
static void stays_where_it_is(void **state) {
    (void)state;
    const size_pair cases[] = {{9, 4}, {6, 6}, {4, 9}};
    for (size_t m = 0; m < COUNT(moving); ++m)
        for (size_t s = 0; s < COUNT(cases); ++s)
            for (int way = 0; way < WAYS_TO_STAY; ++way)
                check_stays(moving[m], cases[s], way);
}

// Dividing by a norm of subnormals overflows: no direction.
static void tiny_gradient(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(moving); ++m) {
        vkd_projection p = make(moving[m], 5, 2, 12, 0);
        for (int i = 0; i < 10; ++i)
            p.gradient[i] = i == 3 ? 1e-44f : 0;
        assert_ok(vkd_projection_update(&p, 1));
        for (int i = 0; i < 10; ++i)
            assert_true(isfinite(p.V[i]));
        vkd_projection_free(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descends_to_a_planted_map),
        cmocka_unit_test(stays_orthonormal),
        cmocka_unit_test(step_is_an_angle),
        cmocka_unit_test(each_map_has_its_own_step),
        cmocka_unit_test(momentum_decays),
        cmocka_unit_test(stays_where_it_is),
        cmocka_unit_test(tiny_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
