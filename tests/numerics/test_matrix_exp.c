#include "map_support.h"

#include "numerics/matrix_exp.h"
#include "reference/matrix_exp.h"
#include "reference/stiefel.h"

typedef struct exp_case {
    int m;
    const double *A, *X, *E, *L;
} exp_case;

static const exp_case cases[] = {
    {3, reference_A_small, reference_X_small, reference_E_small, reference_L_small},
    {4, reference_A_middle, reference_X_middle, reference_E_middle, reference_L_middle},
    {5, reference_A_large, reference_X_large, reference_E_large, reference_L_large},
};

static void against_scipy(void **state) {
    (void)state;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const int m = cases[c].m, mm = m * m;
        double *E = doubles(mm), *work = doubles(vkd_matrix_exp_workspace(m));
        double *L = doubles(mm), *frechet = doubles(vkd_matrix_exp_frechet_workspace(m));
        assert_ok(vkd_matrix_exp(cases[c].A, m, E, work));
        assert_below(relative_doubles(E, cases[c].E, mm) / (m * EPS64), 30);
        assert_ok(vkd_matrix_exp_frechet(cases[c].A, cases[c].X, m, E, L, frechet));
        assert_below(relative_doubles(E, cases[c].E, mm) / (m * EPS64), 30);
        assert_below(relative_doubles(L, cases[c].L, mm) / (m * EPS64), 30);
        free(E);
        free(work);
        free(L);
        free(frechet);
    }
}

static double *random_matrix(int m, double size, int skew, uint64_t seed) {
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 7, (uint64_t)m);
    double *A = doubles((size_t)m * m);
    for (int i = 0; i < m * m; ++i)
        A[i] = vkd_rng_normal(&rng);
    if (skew)
        for (int i = 0; i < m; ++i)
            for (int j = 0; j <= i; ++j)
                A[j * m + i] = -(A[i * m + j] = i == j ? 0 : A[i * m + j]);
    const double norm = norm_doubles(A, (size_t)m * m);
    for (int i = 0; i < m * m; ++i)
        A[i] = norm > 0 ? A[i] * size / norm : 0;
    return A;
}

// Every Pade degree and number of squarings: exp(A) exp(-A) = I, and orthogonal for skew A.
static void inverse_and_orthogonality(void **state) {
    (void)state;
    const double sizes[] = {1e-9, 1e-2, 0.02, 0.2, 0.3, 0.9, 1, 2, 5, 6, 20, 100};
    const int m = 9, mm = m * m;
    double *E = doubles(mm), *F = doubles(mm), *I = doubles(mm), *work = doubles(vkd_matrix_exp_workspace(m));
    for (size_t s = 0; s < COUNT(sizes); ++s) {
        double *A = random_matrix(m, sizes[s], 1, s);
        assert_ok(vkd_matrix_exp(A, m, E, work));
        for (int i = 0; i < mm; ++i)
            A[i] = -A[i];
        assert_ok(vkd_matrix_exp(A, m, F, work));
        plain_product(E, F, m, m, m, I);
        for (int i = 0; i < mm; ++i) {
            I[i] -= i % (m + 1) == 0;
            F[i] -= E[i % m * m + i / m]; // exp(-A) is the transpose
        }
        assert_below(norm_doubles(I, mm) / (m * EPS64 * (1 + sizes[s])), 30);
        assert_below(norm_doubles(F, mm) / (m * EPS64 * (1 + sizes[s])), 30);
        free(A);
    }
    free(E);
    free(F);
    free(I);
    free(work);
}

static void special_matrices(void **state) {
    (void)state;
    double work[256], E[9], one[1];
    const double zero[9] = {0};
    assert_ok(vkd_matrix_exp(zero, 3, E, work));
    for (int i = 0; i < 9; ++i)
        assert_true(E[i] == (i % 4 == 0)); // exactly
    const double nilpotent[9] = {0, 2, 3, 0, 0, 4, 0, 0, 0}, want[9] = {1, 2, 7, 0, 1, 4, 0, 0, 1};
    assert_ok(vkd_matrix_exp(nilpotent, 3, E, work));
    assert_below(relative_doubles(E, want, 9) / EPS64, 30);
    for (double x = -20; x <= 20; x += 0.03) { // every degree, both signs; squarings multiply the error
        assert_ok(vkd_matrix_exp(&x, 1, one, work));
        assert_below(fabs(one[0] / exp(x) - 1) / (EPS64 * (1 + fabs(x))), 30);
    }
    const double nan[] = {NAN}, huge[] = {1e4}, infinite[] = {-INFINITY};
    assert_int_equal(vkd_matrix_exp(nan, 1, one, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_matrix_exp(infinite, 1, one, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_matrix_exp(huge, 1, one, work), VKD_NOT_FINITE);
    assert_int_equal(vkd_matrix_exp(zero, 0, E, work), VKD_INVALID_ARGUMENT);
}

// The derivative by central differences of the plain series, and <L(A,X), Y> = <X, L(A',Y)>.
static void frechet_derivative(void **state) {
    (void)state;
    const double sizes[] = {1e-6, 0.1, 1, 8}, directions[] = {1e-8, 1, 1e8};
    const int m = 6, mm = m * m;
    double *L = doubles(mm), *M = doubles(mm), *E = doubles(mm), *At = doubles(mm), *plus = doubles(mm),
           *minus = doubles(mm);
    double *Ep = doubles(mm), *Em = doubles(mm), *work = doubles(vkd_matrix_exp_frechet_workspace(m));
    for (size_t s = 0; s < COUNT(sizes); ++s)
        for (size_t d = 0; d < COUNT(directions); ++d) {
            double *A = random_matrix(m, sizes[s], 0, s), *X = random_matrix(m, directions[d], 0, 10 + d);
            double *Y = random_matrix(m, 1, 0, 20);
            const double h = 1e-5 / directions[d];
            for (int i = 0; i < mm; ++i)
                plus[i] = A[i] + h * X[i], minus[i] = A[i] - h * X[i];
            dense_exp(plus, m, Ep);
            dense_exp(minus, m, Em);
            for (int i = 0; i < mm; ++i)
                Ep[i] = (Ep[i] - Em[i]) / (2 * h);
            assert_ok(vkd_matrix_exp_frechet(A, X, m, E, L, work));
            assert_below(relative_doubles(L, Ep, mm), 1e-8); // h^2 and EPS64 / h
            double left = 0, right = 0;
            for (int i = 0; i < mm; ++i) {
                left += L[i] * Y[i];
                At[i] = A[i % m * m + i / m];
            }
            assert_ok(vkd_matrix_exp_frechet(At, Y, m, E, M, work));
            for (int i = 0; i < mm; ++i)
                right += X[i] * M[i];
            assert_below(fabs(left - right) / (norm_doubles(L, mm) * m * EPS64), 30);
            free(A);
            free(X);
            free(Y);
        }
    double *zero = doubles(mm);
    assert_ok(vkd_matrix_exp_frechet(zero, zero, m, E, L, work));
    assert_true(norm_doubles(L, mm) == 0);
    free(zero);
    free(E);
    free(L);
    free(M);
    free(At);
    free(plus);
    free(minus);
    free(Ep);
    free(Em);
    free(work);
}

static void reference(void **state) {
    (void)state;
    float V[21];
    double *work = doubles(vkd_map_workspace(&vkd_map_matrix_exp, 7, 3));
    assert_ok(vkd_map_forward(&vkd_map_matrix_exp, reference_P, reference_D, 7, 3, V, work));
    assert_below(relative_floats(V, reference_exp, 21) / EPS32, 1);
    free(work);
}

static void dense(void **state) {
    (void)state;
    check_against_dense(&vkd_map_matrix_exp, twin_exp);
}

static void large_square(void **state) {
    (void)state;
    check_large_square(&vkd_map_matrix_exp);
}

static void large_small_step(void **state) {
    (void)state;
    check_large_small_step(&vkd_map_matrix_exp);
}

static void first_order(void **state) {
    (void)state;
    check_first_order(&vkd_map_matrix_exp);
}

static void adjoint_differences(void **state) {
    (void)state;
    check_adjoint(&vkd_map_matrix_exp, twin_exp);
}

static void small_steps(void **state) {
    (void)state;
    check_small_steps(&vkd_map_matrix_exp, twin_exp);
}

static void rejects(void **state) {
    (void)state;
    check_rejects(&vkd_map_matrix_exp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_scipy),       cmocka_unit_test(inverse_and_orthogonality),
        cmocka_unit_test(special_matrices),    cmocka_unit_test(frechet_derivative),
        cmocka_unit_test(reference),           cmocka_unit_test(dense),
        cmocka_unit_test(large_square),        cmocka_unit_test(small_steps),
        cmocka_unit_test(first_order),         cmocka_unit_test(large_small_step),
        cmocka_unit_test(adjoint_differences), cmocka_unit_test(rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
