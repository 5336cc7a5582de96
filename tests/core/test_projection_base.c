// What a projection keeps between updates: its base and coordinates (any rebase), or the average of
// map=procrustes.
#include "../numerics/support.h"

#include "core/projection.h"
#include "numerics/cayley.h"
#include "numerics/householder.h"
#include "numerics/matrix_exp.h"
#include "numerics/polar.h"
#include "numerics/stiefel.h"

static const struct {
    vkd_option_map name;
    const vkd_orthogonal_map *map;
} based[] = {{VKD_OPTION_MAP_MATRIX_EXP, &vkd_map_matrix_exp},
             {VKD_OPTION_MAP_CAYLEY, &vkd_map_cayley},
             {VKD_OPTION_MAP_HOUSEHOLDER, &vkd_map_householder}};
static const int shapes[][2] = {{9, 4}, {7, 5}, {6, 6}, {4, 9}, {1, 1}, {5, 1}};

static vkd_projection make(vkd_option_map map, int rebase, float momentum, int n, int k) {
    vkd_projection p;
    vkd_rng rng;
    vkd_rng_seed(&rng, 2, 80, 5);
    vkd_tap_options options = {.map = (int)map, .rebase = rebase, .momentum = momentum};
    assert_ok(vkd_projection_create(&p, &options, n, k, &rng));
    return p;
}

static void random_update(vkd_projection *p, uint64_t seed) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    float *g = normal_floats(size, seed);
    memcpy(p->gradient, g, size * sizeof *g);
    free(g);
    assert_ok(vkd_projection_update(p, 10));
}

// <G, V(D + h v)> against xi: d/dh = <v, xi> in the canonical metric, tr(v'(I - P P'/2) xi), for tangents v.
// Away from D = 0 and, with rebase=3, at a base that was reached.
static void gathers_the_canonical_gradient(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(based); ++m)
        for (size_t s = 0; s < 2 * COUNT(shapes); ++s) {
            const int *shape = shapes[s / 2];
            vkd_projection p = make(based[m].name, s % 2 ? 3 : 0, 0, shape[0], shape[1]);
            const int n = p.rows, k = p.cols;
            const size_t nk = (size_t)n * k;
            for (uint64_t i = 0; i < 3; ++i)
                random_update(&p, i);
            float *G = normal_floats(nk, 7), *v = normal_floats(nk, 8);
            double *work = doubles(vkd_map_workspace(based[m].map, n, k)), *P = widened(p.base, nk);
            double *D = doubles(nk), *plus = doubles(nk), *minus = doubles(nk);
            float *at = floats(nk), *xi = floats(nk);
            assert_ok(vkd_stiefel_project(p.base, v, n, k, work));
            memcpy(p.gradient, G, nk * sizeof *G);
            assert_ok(vkd_projection_gather(&p));
            vkd_projection_tangent(&p, p.D, at);
            vkd_projection_tangent(&p, p.momentum, xi);
            const double h = 1e-4;
            for (size_t i = 0; i < nk; ++i)
                D[i] = at[i] + h * v[i];
            assert_ok(vkd_map_forward_double(based[m].map, P, D, n, k, plus, work));
            for (size_t i = 0; i < nk; ++i)
                D[i] = at[i] - h * v[i];
            assert_ok(vkd_map_forward_double(based[m].map, P, D, n, k, minus, work));
            double slope = 0, product = dot_floats(v, xi, nk);
            for (size_t i = 0; i < nk; ++i)
                slope += G[i] * (plus[i] - minus[i]) / (2 * h);
            for (int a = 0; a < k; ++a)
                for (int b = 0; b < k; ++b) {
                    double left = 0, right = 0;
                    for (int i = 0; i < n; ++i) {
                        left += P[i * k + a] * v[i * k + b];
                        right += P[i * k + a] * xi[i * k + b];
                    }
                    product -= left * right / 2;
                }
            assert_below(fabs(slope - product) / (norm_floats(G, nk) * (norm_floats(v, nk) + EPS32)), 3e-6);
            float *singles[] = {G, v, at, xi};
            double *all[] = {work, P, D, plus, minus};
            for (size_t i = 0; i < COUNT(singles); ++i)
                free(singles[i]);
            for (size_t i = 0; i < COUNT(all); ++i)
                free(all[i]);
            vkd_projection_free(&p);
        }
}

// The base stands for `rebase` updates, then it is V, with D = 0; V is map(base, D) in between.
static void base_moves_when_it_is_time(void **state) {
    (void)state;
    const int rebases[] = {0, 2, 7};
    for (size_t m = 0; m < COUNT(based); ++m)
        for (size_t s = 0; s < COUNT(shapes); ++s)
            for (size_t r = 0; r < COUNT(rebases); ++r) {
                vkd_projection p = make(based[m].name, rebases[r], 0.9f, shapes[s][0], shapes[s][1]);
                const size_t size = (size_t)p.rows * (size_t)p.cols;
                float *base = copy_floats(p.V, size), *V = floats(size), *D = floats(size);
                double *work = doubles(vkd_map_workspace(based[m].map, p.rows, p.cols));
                int since = 0;
                for (int i = 1; i <= 20; ++i) {
                    int before = p.since_rebase;
                    random_update(&p, (uint64_t)i);
                    if (size == 1) break; // no tangent, no step
                    assert_int_equal(before, since);
                    if (++since == rebases[r]) {
                        since = 0;
                        memcpy(base, p.V, size * sizeof *base);
                        for (size_t j = 0; j < size; ++j)
                            assert_true(p.D[j] == 0);
                    } else {
                        vkd_projection_tangent(&p, p.D, D);
                        assert_ok(vkd_map_forward(based[m].map, p.base, D, p.rows, p.cols, V, work));
                        assert_below(relative_floats(V, p.V, size), 1e-6);
                    }
                    assert_int_equal(p.since_rebase, since);
                    assert_memory_equal(p.base, base, size * sizeof *base);
                }
                free(base);
                free(V);
                free(D);
                free(work);
                vkd_projection_free(&p);
            }
}

// The first update is one and the same for every rebase: bit for bit, or, where only one of them goes by the
// coordinates of a square, but for rounding. With rebase=1 there is no second matrix.
static void first_step_is_the_same(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(based); ++m)
        for (size_t s = 0; s < COUNT(shapes); ++s) {
            vkd_projection a = make(based[m].name, 1, 0.9f, shapes[s][0], shapes[s][1]);
            vkd_projection b = make(based[m].name, 0, 0.9f, shapes[s][0], shapes[s][1]);
            random_update(&a, 1);
            random_update(&b, 1);
            size_t size = (size_t)a.rows * (size_t)a.cols;
            if (b.is_square)
                assert_below(relative_floats(a.V, b.V, size) / EPS32, 4);
            else
                assert_memory_equal(a.V, b.V, size * sizeof *a.V);
            assert_true(!a.base && !a.D && b.base && b.D);
            vkd_projection_free(&a);
            vkd_projection_free(&b);
        }
}

// A projection that gets another's state, as from a sidecar, goes on as the other does, to the bit.
static void goes_on_elsewhere(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(based); ++m)
        for (size_t s = 0; s < COUNT(shapes); ++s) {
            vkd_projection a = make(based[m].name, 0, 0.9f, shapes[s][0], shapes[s][1]);
            vkd_projection b = make(based[m].name, 0, 0.9f, shapes[s][0], shapes[s][1]);
            const size_t bytes = (size_t)a.rows * (size_t)a.cols * sizeof *a.V;
            for (uint64_t i = 1; i <= 3; ++i)
                random_update(&a, i);
            random_update(&b, 9); // it has been somewhere else
            random_update(&b, 8);
            float *const from[] = {a.V, a.base, a.D, a.momentum}, *const to[] = {b.V, b.base, b.D,
                                                                                 b.momentum};
            for (size_t i = 0; i < COUNT(from); ++i)
                memcpy(to[i], from[i], bytes);
            b.since_rebase = a.since_rebase;
            b.is_kept = false;
            for (uint64_t i = 4; i <= 6; ++i) {
                random_update(&a, i);
                random_update(&b, i);
                assert_memory_equal(a.V, b.V, bytes);
            }
            vkd_projection_free(&a);
            vkd_projection_free(&b);
        }
}

// Merged, whether they still had one base or not: equal, orthonormal, and equal ever after.
static void merges_squares(void **state) {
    (void)state;
    const int rebases[] = {0, 2};
    for (size_t r = 0; r < COUNT(rebases); ++r)
        for (uint64_t updates = 1; updates <= 4; ++updates) {
            vkd_projection p[2] = {make(VKD_OPTION_MAP_CAYLEY, rebases[r], 0.9f, 6, 6),
                                   make(VKD_OPTION_MAP_CAYLEY, rebases[r], 0.9f, 6, 6)};
            vkd_projection *both[] = {&p[0], &p[1]};
            for (uint64_t i = 0; i < updates; ++i) {
                random_update(&p[0], i);
                random_update(&p[1], 10 + i);
            }
            assert_true(relative_floats(p[0].V, p[1].V, 36) > 0.01);
            assert_ok(vkd_projection_merge(both, 2));
            for (uint64_t i = 20; i < 24; ++i) {
                assert_below(p[0].defect / (EPS32 * sqrt(6)), 30);
                assert_memory_equal(p[0].V, p[1].V, sizeof(float) * 36);
                assert_memory_equal(p[0].momentum, p[1].momentum, sizeof(float) * 36);
                random_update(&p[0], i);
                random_update(&p[1], i);
            }
            vkd_projection_free(&p[0]);
            vkd_projection_free(&p[1]);
        }
}

// |V - T|^2 falls to nothing whatever the base.
static void descends(void **state) {
    (void)state;
    const int rebases[] = {0, 1, 7}, cases[][2] = {{12, 4}, {7, 5}, {6, 6}, {4, 12}};
    for (size_t m = 0; m < COUNT(based); ++m)
        for (size_t s = 0; s < COUNT(cases); ++s)
            for (size_t r = 0; r < COUNT(rebases); ++r) {
                vkd_projection p = make(based[m].name, rebases[r], 0.9f, cases[s][0], cases[s][1]);
                const size_t size = (size_t)p.rows * (size_t)p.cols;
                float *T = floats(size);
                vkd_rng rng;
                vkd_rng_seed(&rng, 4, 4, 4);
                assert_ok(vkd_stiefel_random(T, p.rows, p.cols, &rng, p.work));
                for (int i = 0; i < 800; ++i) {
                    for (size_t j = 0; j < size; ++j)
                        p.gradient[j] = p.V[j] - T[j];
                    assert_ok(vkd_projection_update(&p, 1 - i / 800.0));
                }
                assert_below(relative_floats(p.V, T, size), 2e-3);
                free(T);
                vkd_projection_free(&p);
            }
}

// Of fewer samples than channels: what the gradient says nothing of is turned by no rounding of it.
static void procrustes_of_few_samples(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        vkd_projection p = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.75f, shapes[s][0], shapes[s][1]);
        vkd_projection rounded = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.75f, shapes[s][0], shapes[s][1]);
        const size_t size = (size_t)p.rows * (size_t)p.cols;
        float *u = normal_floats((size_t)p.rows, 3), *v = normal_floats((size_t)p.cols, 4);
        for (int i = 0; i < 3; ++i) {
            for (size_t j = 0; j < size; ++j) {
                p.gradient[j] = u[j / (size_t)p.cols] * v[j % (size_t)p.cols];
                rounded.gradient[j] = nextafterf(p.gradient[j], j % 3 ? 9 : -9);
            }
            assert_ok(vkd_projection_update(&p, 1));
            assert_ok(vkd_projection_update(&rounded, 1));
            assert_below(relative_floats(rounded.V, p.V, size), 1e-5);
        }
        free(u);
        free(v);
        vkd_projection_free(&p);
        vkd_projection_free(&rounded);
    }
}

// V = polar of the plain mean at first, then of the exponential one; the rate does not matter.
static void procrustes_averages(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        vkd_projection p = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.75f, shapes[s][0], shapes[s][1]);
        const size_t size = (size_t)p.rows * (size_t)p.cols;
        double *mean = doubles(size), *work = doubles(vkd_stiefel_polar_workspace(p.rows, p.cols));
        float *expected = copy_floats(p.V, size);
        assert_null(p.momentum);
        for (int i = 0; i < 12; ++i) {
            float *g = normal_floats(size, 40 + (uint64_t)i);
            const double keep = i < 3 ? i / (i + 1.0) : 0.75;
            for (size_t j = 0; j < size; ++j)
                mean[j] = keep * mean[j] - (1 - keep) * g[j];
            memcpy(p.gradient, g, size * sizeof *g);
            assert_ok(vkd_projection_update(&p, i % 2 ? 1 : 1e-3));
            assert_ok(vkd_stiefel_polar(mean, p.rows, p.cols, 0, expected, expected, NULL, work));
            assert_below(relative_floats(p.V, expected, size) / EPS32, 2);
            assert_below(p.defect / (sqrt(p.cols) * EPS32), 2);
            free(g);
        }
        free(mean);
        free(work);
        free(expected);
        vkd_projection_free(&p);
    }
}

// No gradient, or a bad one: V and the average stay as they are, bit for bit.
static void procrustes_stays(void **state) {
    (void)state;
    vkd_projection p = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.9f, 9, 4);
    random_update(&p, 1);
    float V[36];
    double cross[36];
    memcpy(V, p.V, sizeof V);
    memcpy(cross, p.cross, sizeof cross);
    assert_ok(vkd_projection_update(&p, 1));
    p.gradient[3] = NAN;
    assert_int_equal(vkd_projection_update(&p, 1), VKD_NOT_FINITE);
    p.gradient[35] = -INFINITY;
    assert_int_equal(vkd_projection_update(&p, 1), VKD_NOT_FINITE);
    assert_memory_equal(p.V, V, sizeof V);
    assert_memory_equal(p.cross, cross, sizeof cross);
    assert_int_equal(p.count, 1);
    for (int i = 0; i < 36; ++i)
        assert_true(p.gradient[i] == 0);
    vkd_projection_free(&p);
}

// T = P* X: the planted map is found at the first update where X has full rank, and a batch of fewer samples
// than channels moves P only where it has something to say.
static void procrustes_finds_a_planted_map(void **state) {
    (void)state;
    enum { n = 9, k = 4, samples = 30 };
    vkd_projection p = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.9f, n, k), planted = p;
    planted.V = normal_floats(n * k, 3);
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 2, 3);
    assert_ok(vkd_stiefel_random(planted.V, n, k, &rng, p.work));
    float *x = normal_floats(k * samples, 9), *t = floats(n * samples);
    vkd_projection_apply(&planted, x, samples, t);
    vkd_projection_accumulate(&p, t, x, samples, -2);
    assert_ok(vkd_projection_update(&p, 1));
    assert_below(relative_floats(p.V, planted.V, n * k) / EPS32, 30);
    vkd_projection_free(&p);
    p = make(VKD_OPTION_MAP_PROCRUSTES, 1, 0.9f, n, k);
    vkd_projection_apply(&planted, x, 1, t); // one sample
    vkd_projection_accumulate(&p, t, x, 1, -2);
    assert_ok(vkd_projection_update(&p, 1));
    float y[n];
    vkd_projection_apply(&p, x, 1, y);
    assert_below(relative_floats(y, t, n) / EPS32, 30);
    free(planted.V);
    free(x);
    free(t);
    vkd_projection_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_the_canonical_gradient),
        cmocka_unit_test(base_moves_when_it_is_time),
        cmocka_unit_test(first_step_is_the_same),
        cmocka_unit_test(goes_on_elsewhere),
        cmocka_unit_test(merges_squares),
        cmocka_unit_test(descends),
        cmocka_unit_test(procrustes_averages),
        cmocka_unit_test(procrustes_of_few_samples),
        cmocka_unit_test(procrustes_stays),
        cmocka_unit_test(procrustes_finds_a_planted_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
