#include "retraction_support.h"

#include "numerics/cayley.h"
#include "reference/stiefel.h"

static void retraction_reference(void **state) {
    (void)state;
    float *P = copy_floats(reference_P, 21);
    double *work = stiefel_work(7, 3);
    assert_ok(vkd_stiefel_cayley(P, reference_D, 7, 3, work));
    assert_below(relative_floats(P, reference_cayley, 21) / EPS32, 3); // P's own defect, corrected
    free(P);
    free(work);
}

static void retraction_dense(void **state) {
    (void)state;
    check_against_dense(vkd_stiefel_cayley, twin_cayley);
}

static void retraction_first_order(void **state) {
    (void)state;
    check_first_order(vkd_stiefel_cayley);
}

static void retraction_drift(void **state) {
    (void)state;
    const double sizes[] = {0.02, 1};
    for (size_t s = 0; s < COUNT(sizes); ++s) {
        int polished;
        double worst;
        check_drift(vkd_stiefel_cayley, 32, 8, sizes[s], &polished, &worst);
        print_message("cayley, steps of %g: worst defect %.3g eps32 sqrt(k), polished %d times\n", sizes[s],
                      worst, polished);
        assert_below(worst, 1);
        assert_int_equal(polished, 0);
    }
}

static void retraction_adjoint_differences(void **state) {
    (void)state;
    check_adjoint(vkd_stiefel_cayley_adjoint, vkd_stiefel_cayley_adjoint_workspace, twin_cayley);
}

static void retraction_rejects(void **state) {
    (void)state;
    check_rejects(vkd_stiefel_cayley);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retraction_reference),           cmocka_unit_test(retraction_dense),
        cmocka_unit_test(retraction_first_order),         cmocka_unit_test(retraction_drift),
        cmocka_unit_test(retraction_adjoint_differences), cmocka_unit_test(retraction_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
