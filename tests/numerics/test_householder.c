#include "map_support.h"

#include "numerics/householder.h"

static void dense(void **state) {
    (void)state;
    check_against_dense(&vkd_map_householder, twin_householder);
}

static void large_square(void **state) {
    (void)state;
    check_large_square(&vkd_map_householder);
}

static void large_small_step(void **state) {
    (void)state;
    check_large_small_step(&vkd_map_householder);
}

static void first_order(void **state) {
    (void)state;
    check_first_order(&vkd_map_householder);
}

static void adjoint_differences(void **state) {
    (void)state;
    check_adjoint(&vkd_map_householder, twin_householder);
}

static void small_steps(void **state) {
    (void)state;
    check_small_steps(&vkd_map_householder, twin_householder);
}

static void rejects(void **state) {
    (void)state;
    check_rejects(&vkd_map_householder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense),
        cmocka_unit_test(large_square),
        cmocka_unit_test(first_order),
        cmocka_unit_test(large_small_step),
        cmocka_unit_test(adjoint_differences),
        cmocka_unit_test(rejects),
        cmocka_unit_test(small_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
