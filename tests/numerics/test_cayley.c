#include "map_support.h"

#include "numerics/cayley.h"
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
