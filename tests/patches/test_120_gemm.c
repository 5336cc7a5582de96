/* Patch 120: gemm_cpu is OpenBLAS's product, for all transposes, strides and factors. */
#include "child.h"

#include <float.h>
#include <math.h>

#include "gemm.h"

enum { M = 7, N = 11, K = 13, LD = 17 };

static float entry(int i) {
    return (float)((i * 7919) % 211 - 105) / 64;
}

/* C = alpha op(A) op(B) + beta C in float64 against gemm_cpu; op(A) is (M,K), op(B) is (K,N), all with stride
 * LD. */
static void check(int ta, int tb, float alpha, float beta) {
    float a[LD * LD], b[LD * LD], c[M * LD], before[M * LD];
    for (int i = 0; i < LD * LD; i++) {
        a[i] = entry(i);
        b[i] = entry(3 * i + 1);
    }
    for (int i = 0; i < M * LD; i++)
        before[i] = c[i] = entry(5 * i + 2);
    gemm_cpu(ta, tb, M, N, K, alpha, a, LD, b, LD, beta, c, LD);
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < LD; j++) {
            if (j >= N) {
                assert_true(c[i * LD + j] == before[i * LD + j]);
                continue;
            }
            double sum = 0, size = fabs(beta * before[i * LD + j]);
            for (int k = 0; k < K; k++) {
                double term =
                    (double)(ta ? a[k * LD + i] : a[i * LD + k]) * (tb ? b[j * LD + k] : b[k * LD + j]);
                sum += term;
                size += fabs(alpha * term);
            }
            double want = alpha * sum + (double)beta * before[i * LD + j];
            assert_true(fabs(c[i * LD + j] - want) <= (K + 2) * FLT_EPSILON * size);
        }
    }
}

static void test_all_transposes(void **state) {
    (void)state;
    for (int ta = 0; ta < 2; ta++) {
        for (int tb = 0; tb < 2; tb++) {
            check(ta, tb, 1, 0);
            check(ta, tb, 1, 1);
            check(ta, tb, -0.5f, 0.25f);
        }
    }
}

/* Regression: the loops scaled C by BETA, and NaN times 0 is NaN. */
static void test_beta_zero_overwrites_nan(void **state) {
    (void)state;
    float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8}, c[4];
    for (int ta = 0; ta < 2; ta++) {
        for (int tb = 0; tb < 2; tb++) {
            for (int i = 0; i < 4; i++)
                c[i] = NAN;
            gemm_cpu(ta, tb, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
            for (int i = 0; i < 4; i++)
                assert_true(fabsf(c[i]) < 100);
        }
    }
}

static void test_nothing_to_do(void **state) {
    (void)state;
    float c[1] = {3};
    gemm_cpu(0, 0, 0, 1, 1, 1, c, 1, c, 1, 0, c, 1);
    gemm_cpu(0, 0, 1, 0, 1, 1, c, 1, c, 1, 0, c, 1);
    assert_true(c[0] == 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_transposes),
        cmocka_unit_test(test_beta_zero_overwrites_nan),
        cmocka_unit_test(test_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
