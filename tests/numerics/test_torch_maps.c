// The maps and their adjoints against torch.nn.utils.parametrizations.orthogonal: tall with n >= 2k and
// n < 2k, square, and wide (torch transposes; the vectors are stored tall). |D|_2 is 6.
#include "map_support.h"

#include "numerics/cayley.h"
#include "numerics/householder.h"
#include "numerics/linalg.h"
#include "numerics/matrix_exp.h"
#include "reference/maps.h"

typedef struct torch_case {
    const char *name;
    const vkd_orthogonal_map *map;
    int n, k;
    const double *P, *D, *G, *V, *xi; // (n,k) tall
} torch_case;

#define CASE(map, torch_n, torch_k, n, k)                                                                    \
    {                                                                                                        \
#map " " #torch_n "x" #torch_k, &vkd_map_##map, n, k, P_##map##_##torch_n##_##torch_k,               \
            D_##map##_##torch_n##_##torch_k, G_##map##_##torch_n##_##torch_k,                                \
            V_##map##_##torch_n##_##torch_k, xi_##map##_##torch_n##_##torch_k                                \
    }
#define CASES(map) CASE(map, 9, 4, 9, 4), CASE(map, 7, 5, 7, 5), CASE(map, 6, 6, 6, 6), CASE(map, 4, 9, 9, 4)

static const torch_case cases[] = {CASES(matrix_exp), CASES(cayley), CASES(householder)};

// xi = dD - P dD'P: the canonical gradient, which in the coordinates B'D is torch's Euclidean one.
static void canonical(const double *P, const double *dD, int n, int k, double *xi) {
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j) {
            double sum = dD[i * k + j];
            for (int l = 0; l < k; ++l)
                for (int r = 0; r < n; ++r)
                    sum -= P[i * k + l] * dD[r * k + l] * P[r * k + j];
            xi[i * k + j] = sum;
        }
}

static void core(void **state) {
    (void)state;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const torch_case *t = &cases[c];
        const size_t nk = (size_t)t->n * t->k;
        double *V = doubles(nk), *dD = doubles(nk), *xi = doubles(nk),
               *work = doubles(t->map->workspace(t->n, t->k));
        assert_ok(t->map->forward(t->P, t->D, t->n, t->k, V, work));
        assert_below(relative_doubles(V, t->V, nk), 1e-12);
        assert_ok(t->map->adjoint(t->P, t->D, t->G, t->n, t->k, dD, work));
        canonical(t->P, dD, t->n, t->k, xi);
        assert_below(relative_doubles(xi, t->xi, nk), 1e-12);
        free(V);
        free(dD);
        free(xi);
        free(work);
    }
}

static float *narrowed(const double *x, size_t n) {
    float *y = floats(n);
    for (size_t i = 0; i < n; ++i)
        y[i] = (float)x[i];
    return y;
}

// The inputs rounded to float32 as well, which is most of the distance.
static void shell(void **state) {
    (void)state;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const torch_case *t = &cases[c];
        const size_t nk = (size_t)t->n * t->k;
        float *P = narrowed(t->P, nk), *D = narrowed(t->D, nk), *G = narrowed(t->G, nk), *V = floats(nk);
        float *xi = floats(nk);
        double *work = doubles(vkd_map_workspace(t->map, t->n, t->k)), *scratch = stiefel_work(t->n, t->k);
        assert_ok(vkd_map_forward(t->map, P, D, t->n, t->k, V, work));
        assert_below(relative_mixed(V, t->V, nk), 1e-6);
        assert_ok(vkd_map_adjoint(t->map, P, D, G, t->n, t->k, xi, work));
        assert_ok(vkd_stiefel_tangent_gradient(P, xi, xi, t->n, t->k, scratch));
        assert_below(relative_mixed(xi, t->xi, nk), 1e-6);
        free(P);
        free(D);
        free(G);
        free(V);
        free(xi);
        free(work);
        free(scratch);
    }
}

// The forms whose n x k products are float32, where a map has them.
static void single(void **state) {
    (void)state;
    int compared = 0;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const torch_case *t = &cases[c];
        const vkd_single_map *form = t->map->single;
        if (!form || t->n == t->k) continue;
        const size_t nk = (size_t)t->n * t->k;
        float *P = narrowed(t->P, nk), *D = narrowed(t->D, nk), *G = narrowed(t->G, nk), *V = floats(nk);
        float *xi = floats(nk), *kept = floats(form->kept(t->n, t->k));
        double *work = doubles(form->workspace(t->n, t->k)), *scratch = stiefel_work(t->n, t->k);
        assert_ok(form->forward(P, D, t->n, t->k, V, kept, work));
        assert_below(relative_mixed(V, t->V, nk), 1e-6);
        assert_ok(form->adjoint(P, G, t->n, t->k, kept, xi, work));
        assert_ok(vkd_stiefel_tangent_gradient(P, xi, xi, t->n, t->k, scratch));
        assert_below(relative_mixed(xi, t->xi, nk), 1e-6);
        ++compared;
        float *singles[] = {P, D, G, V, xi, kept};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        free(work);
        free(scratch);
    }
    assert_true(compared > 1);
}

// A square's, of D = P S: xi = P dS.
static void coordinates(void **state) {
    (void)state;
    int compared = 0;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const torch_case *t = &cases[c];
        const vkd_square_map *form = t->map->in_coordinates;
        const int k = t->k;
        if (!form || t->n != k) continue;
        const size_t kk = (size_t)k * k;
        double *Sd = doubles(kk), *dSd = doubles(kk), *work = doubles(form->workspace(k));
        vkd_gemm_tn(k, k, k, 1, t->P, k, t->D, k, 0, Sd, k);
        float *P = narrowed(t->P, kk), *S = narrowed(Sd, kk), *G = narrowed(t->G, kk), *V = floats(kk);
        float *dS = floats(kk), *kept = floats(form->kept(k));
        assert_ok(form->forward(P, S, k, V, kept, work));
        assert_below(relative_mixed(V, t->V, kk), 1e-6);
        assert_ok(form->adjoint(G, k, kept, dS, work));
        vkd_gemm_tn(k, k, k, 1, t->P, k, t->xi, k, 0, dSd, k);
        assert_below(relative_mixed(dS, dSd, kk), 1e-6);
        ++compared;
        float *singles[] = {P, S, G, V, dS, kept};
        double *all[] = {Sd, dSd, work};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
    }
    assert_true(compared > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(core), cmocka_unit_test(shell),
                                       cmocka_unit_test(single), cmocka_unit_test(coordinates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
