#include "map_support.h"

#include "numerics/cayley.h"
#include "numerics/linalg.h"
#include "reference/stiefel.h"

static void reference(void **state) {
    (void)state;
    float V[21];
    double *work = doubles(vkd_map_workspace(&vkd_map_cayley, 7, 3));
    assert_ok(vkd_map_forward(&vkd_map_cayley, reference_P, reference_D, 7, 3, V, work));
    assert_below(relative_floats(V, reference_cayley, 21) / EPS32, 1);
    free(work);
}

static void dense(void **state) {
    (void)state;
    check_against_dense(&vkd_map_cayley, twin_cayley);
}

static void large_square(void **state) {
    (void)state;
    check_large_square(&vkd_map_cayley);
}

static void large_small_step(void **state) {
    (void)state;
    check_large_small_step(&vkd_map_cayley);
}

static void first_order(void **state) {
    (void)state;
    check_first_order(&vkd_map_cayley);
}

static void adjoint_differences(void **state) {
    (void)state;
    check_adjoint(&vkd_map_cayley, twin_cayley);
}

static void rejects(void **state) {
    (void)state;
    check_rejects(&vkd_map_cayley);
}

static void small_steps(void **state) {
    (void)state;
    check_small_steps(&vkd_map_cayley, twin_cayley);
}

// Products in float32 against the float64 core, for tangents and for what else a D may be: it reads the same
// of both.
static void single_products(void **state) {
    (void)state;
    const vkd_single_map *single = vkd_map_cayley.single;
    const int sizes[][2] = {{2, 1}, {5, 3}, {9, 2}, {7, 6}, {64, 32}, {96, 17}};
    const double lengths[] = {1e-3, 0.1, 2};
    for (size_t s = 0; s < COUNT(sizes); ++s)
        for (size_t l = 0; l < COUNT(lengths); ++l)
            for (int tangent = 0; tangent < 2; ++tangent) {
                const int n = sizes[s][0], k = sizes[s][1];
                const size_t nk = (size_t)n * (size_t)k;
                float *P = floats(nk), *D = floats(nk), *G = floats(nk), *V = floats(nk), *dD = floats(nk);
                double *scratch = stiefel_work(n, k);
                vkd_rng rng;
                vkd_rng_seed(&rng, 3, s, l);
                assert_ok(vkd_stiefel_random(P, n, k, &rng, scratch));
                for (size_t i = 0; i < nk; ++i) {
                    D[i] = (float)(lengths[l] * vkd_rng_normal(&rng) / sqrt(n));
                    G[i] = (float)vkd_rng_normal(&rng);
                }
                if (tangent) assert_ok(vkd_stiefel_project(P, D, n, k, scratch));
                double *Pd = widened(P, nk), *Dd = widened(D, nk), *Gd = widened(G, nk), *Vd = doubles(nk);
                double *dDd = doubles(nk), *work = doubles(vkd_map_cayley.workspace(n, k));
                assert_ok(vkd_map_cayley.forward(Pd, Dd, n, k, Vd, work));
                assert_ok(vkd_map_cayley.adjoint(Pd, Dd, Gd, n, k, dDd, work));
                float *kept = floats(single->kept(n, k));
                double *single_work = doubles(single->workspace(n, k));
                assert_ok(single->forward(P, D, n, k, V, kept, single_work));
                assert_below(relative_mixed(V, Vd, nk), 1e-6);
                assert_ok(single->adjoint(P, G, n, k, kept, dD, single_work));
                double difference = 0;
                for (size_t i = 0; i < nk; ++i)
                    difference += (dD[i] - dDd[i]) * (dD[i] - dDd[i]);
                assert_below(sqrt(difference) / norm_floats(G, nk), 1e-6);
                float *singles[] = {P, D, G, V, dD, kept};
                double *all[] = {scratch, Pd, Dd, Gd, Vd, dDd, work, single_work};
                for (size_t i = 0; i < COUNT(singles); ++i)
                    free(singles[i]);
                for (size_t i = 0; i < COUNT(all); ++i)
                    free(all[i]);
            }
}

static void single_not_finite(void **state) {
    (void)state;
    const vkd_single_map *single = vkd_map_cayley.single;
    enum { n = 5, k = 3 };
    float P[n * k] = {[0] = 1, [4] = 1, [8] = 1}, D[n * k] = {[9] = NAN}, V[n * k] = {7},
                G[n * k] = {INFINITY};
    float *kept = floats(single->kept(n, k));
    double *work = doubles(single->workspace(n, k));
    assert_int_equal(single->forward(P, D, n, k, V, kept, work), VKD_NOT_FINITE);
    assert_true(V[0] == 7);
    D[9] = 3e38f; // B'B overflows
    assert_int_equal(single->forward(P, D, n, k, V, kept, work), VKD_NOT_FINITE);
    D[9] = 1;
    assert_ok(single->forward(P, D, n, k, V, kept, work));
    V[0] = 7;
    assert_int_equal(single->adjoint(P, G, n, k, kept, V, work), VKD_NOT_FINITE);
    assert_true(V[0] == 7);
    free(kept);
    free(work);
}

// The same for a square in coordinates, where D = P S: P dS is the canonical gradient, P (X - X') with X =
// P'dD.
static void coordinates(void **state) {
    (void)state;
    const vkd_square_map *form = vkd_map_cayley.in_coordinates;
    const int sizes[] = {1, 2, 7, 40, 96};
    const double lengths[] = {0, 1e-3, 0.1, 1, 8};
    for (size_t s = 0; s < COUNT(sizes); ++s)
        for (size_t l = 0; l < COUNT(lengths); ++l) {
            const int k = sizes[s];
            const size_t kk = (size_t)k * (size_t)k;
            float *P = floats(kk), *S = floats(kk), *G = normal_floats(kk, 5), *V = floats(kk),
                  *dS = floats(kk);
            double *scratch = stiefel_work(k, k);
            vkd_rng rng;
            vkd_rng_seed(&rng, 4, s, l);
            assert_ok(vkd_stiefel_random(P, k, k, &rng, scratch));
            for (int i = 0; i < k; ++i)
                for (int j = 0; j < i; ++j) {
                    S[i * k + j] = (float)(lengths[l] * vkd_rng_normal(&rng) / sqrt(k));
                    S[j * k + i] = -S[i * k + j];
                }
            double *Pd = widened(P, kk), *Sd = widened(S, kk), *Gd = widened(G, kk), *Vd = doubles(kk);
            double *Dd = doubles(kk), *dDd = doubles(kk), *X = doubles(kk);
            double *work = doubles(vkd_map_cayley.workspace(k, k));
            vkd_gemm_nn(k, k, k, 1, Pd, k, Sd, k, 0, Dd, k);
            assert_ok(vkd_map_cayley.forward(Pd, Dd, k, k, Vd, work));
            assert_ok(vkd_map_cayley.adjoint(Pd, Dd, Gd, k, k, dDd, work));
            vkd_gemm_tn(k, k, k, 1, Pd, k, dDd, k, 0, X, k);
            float *kept = floats(form->kept(k));
            double *form_work = doubles(form->workspace(k));
            assert_ok(form->forward(P, S, k, V, kept, form_work));
            assert_below(relative_mixed(V, Vd, kk), 1e-6);
            assert_ok(form->adjoint(G, k, kept, dS, form_work));
            double difference = 0, defect;
            for (int i = 0; i < k; ++i)
                for (int j = 0; j < k; ++j) {
                    const double e = dS[i * k + j] - (X[i * k + j] - X[j * k + i]);
                    assert_true(dS[i * k + j] == -dS[j * k + i]);
                    difference += e * e;
                }
            assert_below(sqrt(difference) / norm_floats(G, kk), 1e-6);
            assert_ok(vkd_stiefel_defect(V, k, k, &defect, scratch));
            assert_below(defect / (EPS32 * sqrt(k)), 30);
            float *singles[] = {P, S, G, V, dS, kept};
            double *all[] = {scratch, Pd, Sd, Gd, Vd, Dd, dDd, X, work, form_work};
            for (size_t i = 0; i < COUNT(singles); ++i)
                free(singles[i]);
            for (size_t i = 0; i < COUNT(all); ++i)
                free(all[i]);
        }
}

static void coordinates_not_finite(void **state) {
    (void)state;
    const vkd_square_map *form = vkd_map_cayley.in_coordinates;
    enum { k = 3 };
    const float P[k * k] = {[0] = 1, [4] = 1, [8] = 1}, G[k * k] = {INFINITY};
    float S[k * k] = {[1] = NAN, [3] = NAN}, V[k * k] = {7};
    float *kept = floats(form->kept(k));
    double *work = doubles(form->workspace(k));
    assert_int_equal(form->forward(P, S, k, V, kept, work), VKD_NOT_FINITE);
    assert_true(V[0] == 7);
    S[1] = 3;
    S[3] = -3;
    assert_ok(form->forward(P, S, k, V, kept, work));
    V[0] = 7;
    assert_int_equal(form->adjoint(G, k, kept, V, work), VKD_NOT_FINITE);
    assert_true(V[0] == 7);
    free(kept);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_steps),
        cmocka_unit_test(reference),
        cmocka_unit_test(dense),
        cmocka_unit_test(large_square),
        cmocka_unit_test(first_order),
        cmocka_unit_test(large_small_step),
        cmocka_unit_test(adjoint_differences),
        cmocka_unit_test(rejects),
        cmocka_unit_test(single_products),
        cmocka_unit_test(single_not_finite),
        cmocka_unit_test(coordinates),
        cmocka_unit_test(coordinates_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
