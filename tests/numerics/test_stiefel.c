#include "map_support.h"

#include "reference/stiefel.h"

static double defect_of(const float *P, int n, int k) {
    double *work = stiefel_work(n, k), defect = NAN;
    assert_ok(vkd_stiefel_defect(P, n, k, &defect, work));
    free(work);
    return defect;
}

static void against_reference(void **state) {
    (void)state;
    const int n = 7, k = 3, nk = 21;
    float *xi = floats(nk), *m = copy_floats(reference_G, nk), *P = copy_floats(reference_P, nk);
    double *work = stiefel_work(n, k);
    assert_ok(vkd_stiefel_tangent_gradient(reference_P, reference_G, xi, n, k, work));
    assert_below(relative_floats(xi, reference_xi, nk) / EPS32, 1);
    assert_ok(vkd_stiefel_project(reference_P, m, n, k, work));
    assert_below(relative_floats(m, reference_projected, nk) / EPS32, 1);
    // polar factor of a perturbed P, by SVD; the perturbation is squared by each step
    for (int i = 0; i < nk; ++i)
        P[i] += 1e-4f * reference_G[i];
    assert_ok(vkd_stiefel_polish(P, n, k, work));
    assert_ok(vkd_stiefel_polish(P, n, k, work));
    assert_below(relative_floats(P, reference_polar, nk) / EPS32, 2);
    // the gradient may be overwritten
    memcpy(m, reference_G, nk * sizeof *m);
    assert_ok(vkd_stiefel_tangent_gradient(reference_P, m, m, n, k, work));
    assert_memory_equal(m, xi, nk * sizeof *m);
    free(xi);
    free(m);
    free(P);
    free(work);
}

static const int shapes[][2] = {{1, 1}, {5, 1}, {2, 2}, {16, 16}, {17, 16}, {40, 7}, {300, 40}};

static void random_points(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int n = shapes[s][0], k = shapes[s][1];
        float *P = random_point(n, k, s), *again = random_point(n, k, s),
              *other = random_point(n, k, s + 100);
        assert_below(defect_of(P, n, k) / (sqrt(k) * EPS32), 1);
        assert_memory_equal(P, again, (size_t)n * k * sizeof *P);
        if (n > 1) assert_memory_not_equal(P, other, (size_t)n * k * sizeof *P);
        free(P);
        free(again);
        free(other);
    }
}

// Haar: entries have mean 0 and variance 1/n. With the signs of diag R left as LAPACK gives them the
// first entry would never be positive.
static void haar_moments(void **state) {
    (void)state;
    const int draws = 20000, n = 3, k = 2;
    double mean[6] = {0}, square[6] = {0}, work[4096];
    assert_true(vkd_stiefel_workspace(n, k) <= COUNT(work));
    for (int d = 0; d < draws; ++d) {
        vkd_rng rng;
        float P[6];
        vkd_rng_seed(&rng, 5, 6, (uint64_t)d);
        assert_ok(vkd_stiefel_random(P, n, k, &rng, work));
        for (int i = 0; i < 6; ++i) {
            mean[i] += P[i] / draws;
            square[i] += P[i] * P[i] / draws;
        }
    }
    for (int i = 0; i < 6; ++i) {
        assert_below(fabs(mean[i]), 5 * sqrt(1. / 3 / draws));
        assert_below(fabs(square[i] - 1. / 3), 5 * sqrt(4. / 45 / draws)); // u^2, u uniform on [-1, 1]
    }
}

static void defect_is_measured(void **state) {
    (void)state;
    const float P[] = {1, 0, 0, 2, 0, 0}; // P'P - I = diag(0, 3)
    assert_true(defect_of(P, 3, 2) == 3);
    const float twice[] = {0.6f, 0.6f, 0.8f, 0.8f}; // rank one: P'P - I = [[0, 1], [1, 0]]
    assert_below(fabs(defect_of(twice, 2, 2) - sqrt(2)), 8 * EPS32);
}

static void polish_squares_the_defect(void **state) {
    (void)state;
    const double sizes[] = {1e-1, 1e-2, 1e-3, 1e-5};
    for (size_t s = 0; s < COUNT(shapes); ++s)
        for (size_t e = 0; e < COUNT(sizes); ++e) {
            const int n = shapes[s][0], k = shapes[s][1];
            float *P = random_point(n, k, s), *noise = normal_floats((size_t)n * k, 7);
            double *work = stiefel_work(n, k);
            const double scale = sizes[e] / norm_floats(noise, (size_t)n * k);
            for (int i = 0; i < n * k; ++i)
                P[i] += (float)(scale * noise[i]);
            const double before = defect_of(P, n, k);
            assert_ok(vkd_stiefel_polish(P, n, k, work));
            assert_below(defect_of(P, n, k), 0.85 * before * before + sqrt(k) * EPS32);
            free(P);
            free(noise);
            free(work);
        }
}

// xi and the projection are tangent; the projection is idempotent, symmetric, and leaves xi alone.
static void tangents(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int n = shapes[s][0], k = shapes[s][1];
        const size_t nk = (size_t)n * k;
        float *P = random_point(n, k, s), *G = normal_floats(nk, 1 + s), *H = normal_floats(nk, 51 + s);
        float *xi = floats(nk), *pg = copy_floats(G, nk), *ph = copy_floats(H, nk);
        double *work = stiefel_work(n, k);
        const double tolerance = 2 * EPS32 * norm_floats(G, nk) * sqrt(k);
        assert_ok(vkd_stiefel_tangent_gradient(P, G, xi, n, k, work));
        assert_ok(vkd_stiefel_project(P, pg, n, k, work));
        assert_ok(vkd_stiefel_project(P, ph, n, k, work));
        const float *tangent[] = {xi, pg};
        for (int t = 0; t < 2; ++t) {
            double symmetric = 0;
            for (int i = 0; i < k; ++i)
                for (int j = 0; j < k; ++j) {
                    double w = 0;
                    for (int r = 0; r < n; ++r)
                        w += (double)P[r * k + i] * tangent[t][r * k + j] +
                             (double)tangent[t][r * k + i] * P[r * k + j];
                    symmetric += w * w / 4;
                }
            assert_below(sqrt(symmetric), tolerance);
            float *again = copy_floats(tangent[t], nk);
            assert_ok(vkd_stiefel_project(P, again, n, k, work));
            double moved = 0;
            for (size_t i = 0; i < nk; ++i)
                moved += pow((double)again[i] - tangent[t][i], 2);
            assert_below(sqrt(moved), tolerance);
            free(again);
        }
        assert_below(fabs(dot_floats(pg, H, nk) - dot_floats(G, ph, nk)), tolerance * norm_floats(H, nk));
        // xi is the gradient in the canonical metric: <G, xi> = |xi|^2 - |P'xi|^2 / 2
        double metric = dot_floats(xi, xi, nk);
        for (int i = 0; i < k; ++i)
            for (int j = 0; j < k; ++j) {
                double w = 0;
                for (int r = 0; r < n; ++r)
                    w += (double)P[r * k + i] * xi[r * k + j];
                metric -= w * w / 2;
            }
        assert_below(fabs(dot_floats(G, xi, nk) - metric), 2 * tolerance * norm_floats(G, nk));
        free(P);
        free(G);
        free(H);
        free(xi);
        free(pg);
        free(ph);
        free(work);
    }
}

static void rejects(void **state) {
    (void)state;
    float *P = random_point(4, 2, 1), *m = normal_floats(8, 1), *keep = copy_floats(P, 8), *xi = floats(8);
    double *work = stiefel_work(4, 2), defect;
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 1, 1);
    const int bad[][2] = {{1, 2}, {2, 0}, {0, 0}, {-3, -4}};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        const int n = bad[i][0], k = bad[i][1];
        assert_int_equal(vkd_stiefel_random(P, n, k, &rng, work), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_stiefel_defect(P, n, k, &defect, work), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_stiefel_polish(P, n, k, work), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_stiefel_tangent_gradient(P, m, xi, n, k, work), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_stiefel_project(P, m, n, k, work), VKD_INVALID_ARGUMENT);
    }
    m[3] = NAN;
    assert_int_equal(vkd_stiefel_tangent_gradient(P, m, xi, 4, 2, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_stiefel_project(P, m, 4, 2, work), VKD_NOT_FINITE);
    assert_memory_equal(P, keep, 8 * sizeof *P);
    m[3] = 0;
    P[1] = INFINITY;
    assert_int_equal(vkd_stiefel_defect(P, 4, 2, &defect, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_stiefel_polish(P, 4, 2, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_stiefel_tangent_gradient(P, m, xi, 4, 2, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_stiefel_project(P, m, 4, 2, work), VKD_NOT_FINITE);
    free(P);
    free(m);
    free(keep);
    free(xi);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_reference),
        cmocka_unit_test(random_points),
        cmocka_unit_test(haar_moments),
        cmocka_unit_test(defect_is_measured),
        cmocka_unit_test(polish_squares_the_defect),
        cmocka_unit_test(tangents),
        cmocka_unit_test(rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
