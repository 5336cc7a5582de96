#include "support.h"

#include "numerics/linalg.h"

// The largest sum of a row's magnitudes, wherever it is.
static void largest_row(void **state) {
    (void)state;
    for (int at = 0; at < 4; ++at) {
        double A[16] = {1, -1, 1, 1, 0, 2, -2, 0.5, -3, 0, 0, 0, 0, 0, 0, 4};
        A[4 * at + 1] = -7;
        double want = 0;
        for (int j = 0; j < 4; ++j)
            want += fabs(A[4 * at + j]);
        assert_true(vkd_largest_row(A, 4) == want);
    }
}

// A regression: one in a row above another was forgotten.
static void a_nan_in_any_row_stays(void **state) {
    (void)state;
    for (int i = 0; i < 9; ++i) {
        double A[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        A[i] = NAN;
        assert_true(isnan(vkd_largest_row(A, 3)));
        A[i] = INFINITY;
        assert_true(isinf(vkd_largest_row(A, 3)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(largest_row),
                                       cmocka_unit_test(a_nan_in_any_row_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
