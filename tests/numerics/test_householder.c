#include "retraction_support.h"

#include "numerics/householder.h"
#include "reference/stiefel.h"

// next = the Gram-Schmidt factor of P + D, orthogonalised twice: a twin without reflectors.
static void gram_schmidt(const double *P, const double *D, int n, int k, double *next) {
    for (int i = 0; i < n * k; ++i)
        next[i] = P[i] + D[i];
    for (int j = 0; j < k; ++j) {
        for (int pass = 0; pass < 2; ++pass)
            for (int l = 0; l < j; ++l) {
                double dot = 0;
                for (int i = 0; i < n; ++i)
                    dot += next[i * k + l] * next[i * k + j];
                for (int i = 0; i < n; ++i)
                    next[i * k + j] -= dot * next[i * k + l];
            }
        double norm = 0;
        for (int i = 0; i < n; ++i)
            norm += next[i * k + j] * next[i * k + j];
        for (int i = 0; i < n; ++i)
            next[i * k + j] /= sqrt(norm);
    }
}

static void reference(void **state) {
    (void)state;
    float *P = copy_floats(reference_P, 21);
    double *work = stiefel_work(7, 3);
    assert_ok(vkd_stiefel_householder(P, reference_D, 7, 3, work));
    assert_below(relative_floats(P, reference_qr, 21) / EPS32, 1);
    free(P);
    free(work);
}

static void dense(void **state) {
    (void)state;
    check_against_dense(vkd_stiefel_householder, gram_schmidt);
}

static void first_order(void **state) {
    (void)state;
    check_first_order(vkd_stiefel_householder);
}

static void drift(void **state) {
    (void)state;
    int polished;
    double worst;
    check_drift(vkd_stiefel_householder, 32, 8, 1, &polished, &worst);
    print_message("householder: worst defect %.3g eps32 sqrt(k), polished %d times\n", worst, polished);
    assert_below(worst, 1);
    assert_int_equal(polished, 0);
}

static void adjoint_differences(void **state) {
    (void)state;
    check_adjoint(vkd_stiefel_householder_adjoint, vkd_stiefel_householder_adjoint_workspace, gram_schmidt);
}

static void rejects(void **state) {
    (void)state;
    check_rejects(vkd_stiefel_householder);
    // D = -P is no tangent: P + D = 0 has no orthonormal factor.
    float *P = random_point(6, 3, 2), *D = floats(18), *keep = copy_floats(P, 18);
    double *work = stiefel_work(6, 3);
    for (int i = 0; i < 18; ++i)
        D[i] = -P[i];
    assert_int_equal(vkd_stiefel_householder(P, D, 6, 3, work), VKD_SINGULAR);
    memset(P, 0, 18 * sizeof *P);
    memset(D, 0, 18 * sizeof *D);
    P[0] = P[4] = P[8] = 1;
    D[0] = -1;
    D[3] = 1; // P + D = [e2, e2, e3]
    memcpy(keep, P, 18 * sizeof *P);
    assert_int_equal(vkd_stiefel_householder(P, D, 6, 3, work), VKD_SINGULAR);
    assert_memory_equal(P, keep, 18 * sizeof *P);
    free(P);
    free(D);
    free(keep);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference),           cmocka_unit_test(dense),
        cmocka_unit_test(first_order),         cmocka_unit_test(drift),
        cmocka_unit_test(adjoint_differences), cmocka_unit_test(rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
