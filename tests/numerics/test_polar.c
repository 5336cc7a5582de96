#include "map_support.h"

#include "numerics/polar.h"
#include "reference/procrustes.h"
#include "reference/stiefel.h"

static vkd_status polar(const double *C, int n, int k, float *P, int *rank) {
    double *work = doubles(vkd_stiefel_polar_workspace(n, k));
    const vkd_status status = vkd_stiefel_polar(C, n, k, 0, NULL, P, rank, work);
    free(work);
    return status;
}

static void against_scipy(void **state) {
    (void)state;
    double *C = widened(reference_G, 21);
    float P[21];
    int rank;
    assert_ok(polar(C, 7, 3, P, &rank));
    assert_below(relative_floats(P, reference_polar_of_G, 21) / EPS32, 1);
    assert_int_equal(rank, 3);
    free(C);
}

// scipy.linalg.orthogonal_procrustes (n = k), polar and svd, which agree; the last case is large enough for
// the path by eigenvalues.
static void procrustes(void **state) {
    (void)state;
    float P[4800];
    double *square = widened(C_6_6, 36), *tall = widened(C_9_4, 36), *large = doubles(4800);
    assert_ok(polar(square, 6, 6, P, NULL));
    assert_below(relative_floats(P, P_6_6, 36) / EPS32, 1);
    assert_ok(polar(tall, 9, 4, P, NULL));
    assert_below(relative_floats(P, P_9_4, 36) / EPS32, 1);
    for (int i = 0; i < 4800; ++i)
        large[i] = sin(1.0 + i) + (i / 60 == i % 60) * 3.0;
    assert_ok(polar(large, 80, 60, P, NULL));
    float column[80];
    for (int i = 0; i < 80; ++i)
        column[i] = P[i * 60 + 5];
    assert_below(relative_mixed(P + 3 * 60, P_row_80_60, 60) / EPS32, 1);
    assert_below(relative_mixed(column, P_column_80_60, 80) / EPS32, 1);
    free(square);
    free(tall);
    free(large);
}

// Both paths on one matrix, well and badly conditioned: (64,64) stands at the border, a row of zeros below
// changes the path and not the factor.
static void paths_agree(void **state) {
    (void)state;
    const double smallest[] = {0.5, 1e-2, 1e-3, 1e-5};
    enum { k = 64 };
    for (size_t c = 0; c < COUNT(smallest); ++c) {
        float *Q = random_point(k, k, 3), *R = random_point(k, k, 4), *P = floats(k * k),
              *tall = floats(k * k + k);
        double *C = doubles(k * k + k);
        for (int i = 0; i < k; ++i)
            for (int j = 0; j < k; ++j)
                for (int l = 0; l < k; ++l)
                    C[i * k + j] += pow(smallest[c], l / (k - 1.0)) * Q[i * k + l] * (double)R[j * k + l];
        assert_ok(polar(C, k, k, P, NULL));
        assert_ok(polar(C, k + 1, k, tall, NULL));
        assert_below(relative_floats(tall, P, k * k) / EPS32, 2);
        free(Q);
        free(R);
        free(P);
        free(tall);
        free(C);
    }
}

// C = [H; 0] with H symmetric and positive has P = [I; 0], whose zeros hide no digit in float32: the error is
// eps64 / sigma_k, that of a perturbed C. Squared, and not mended, it would be 1e-8 at sigma_k = 1e-4; and
// without the way out below that, of any size.
static void zeros_show_every_digit(void **state) {
    (void)state;
    const double smallest[] = {1, 1e-2, 1.1e-4, 1e-5, 1.1e-6, 1e-7, 1e-9};
    enum { n = 70, k = 64 };
    float *Q = random_point(k, k, 3), *P = floats(n * k);
    double *C = doubles(n * k);
    for (size_t c = 0; c < COUNT(smallest); ++c) {
        for (int i = 0; i < k; ++i)
            for (int j = 0; j <= i; ++j) {
                double sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += (l < k / 2 ? 1 : smallest[c]) * Q[i * k + l] * (double)Q[j * k + l];
                C[i * k + j] = C[j * k + i] = sum;
            }
        assert_ok(polar(C, n, k, P, NULL));
        double error = 0;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < k; ++j)
                if (i != j) error += (double)P[i * k + j] * P[i * k + j];
        assert_below(sqrt(error), 30 * EPS64 / smallest[c]);
    }
    free(Q);
    free(P);
    free(C);
}

// Of the maximisers the nearest to the previous point: where C says nothing, P stays as it can.
static void kernel_keeps_the_previous(void **state) {
    (void)state;
    const int cases[][3] = {{9, 4, 0}, {9, 4, 2}, {6, 6, 5}, {90, 60, 20}, {90, 60, 0}, {5, 1, 0}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const int n = cases[c][0], k = cases[c][1], r = cases[c][2];
        const size_t nk = (size_t)n * k;
        float *Q = random_point(n, k, 5), *R = random_point(k, k, 6), *P = floats(nk), *next = floats(nk);
        double *C = doubles(nk), *work = doubles(vkd_stiefel_polar_workspace(n, k));
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < k; ++j) {
                double all = 0;
                for (int l = 0; l < k; ++l) {
                    all += (double)Q[i * k + l] * R[j * k + l];
                    if (l < r) C[i * k + j] += (1 + l) * (double)Q[i * k + l] * R[j * k + l];
                }
                P[i * k + j] = (float)all; // one of the maximisers: it is kept
            }
        int rank;
        assert_ok(vkd_stiefel_polar(C, n, k, 0, P, next, &rank, work));
        assert_int_equal(rank, r);
        assert_below(relative_floats(next, P, nk) / EPS32, 4);
        // From another point: in place, orthonormal, a maximiser, at least as near as P is, continuous.
        float *far = random_point(n, k, 7), *near = copy_floats(far, nk);
        double defect, value = 0, best = 0, to_next = 0, to_P = 0, *scratch = stiefel_work(n, k);
        for (size_t i = 0; i < nk; ++i)
            near[i] *= 1 + 1e-4f * (float)(i % 3);
        memcpy(next, far, nk * sizeof *far);
        assert_ok(vkd_stiefel_polar(C, n, k, 0, next, next, NULL, work));
        assert_ok(vkd_stiefel_polar(C, n, k, 0, near, near, NULL, work));
        assert_ok(vkd_stiefel_defect(next, n, k, &defect, scratch));
        assert_below(defect / (sqrt(k) * EPS32), 1);
        for (size_t i = 0; i < nk; ++i) {
            value += next[i] * C[i];
            best += P[i] * C[i];
            to_next += pow((double)next[i] - far[i], 2);
            to_P += pow((double)P[i] - far[i], 2);
        }
        assert_below(fabs(value - best), 4 * EPS32 * norm_doubles(C, nk) * sqrt(k));
        assert_below(to_next, to_P * (1 + 1e-6));
        if (n > k) assert_below(relative_floats(near, next, nk), 0.05);
        float *singles[] = {Q, R, P, next, far, near};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        free(C);
        free(work);
        free(scratch);
    }
}

// P is orthonormal, P'C is symmetric and positive semidefinite, and no other point has a larger
// <P, C>: full rank, rank deficient, n = k, zero.
static void invariants(void **state) {
    (void)state;
    const int cases[][3] = {{1, 1, 1},  {5, 1, 1},  {4, 4, 4},  {4, 4, 2},
                            {20, 6, 6}, {20, 6, 3}, {20, 6, 0}, {90, 40, 40}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const int n = cases[c][0], k = cases[c][1], r = cases[c][2];
        const size_t nk = (size_t)n * k;
        float *left = normal_floats((size_t)n * (r + 1), c),
              *right = normal_floats((size_t)k * (r + 1), c + 9);
        float *P = floats(nk);
        double *C = doubles(nk), *work = stiefel_work(n, k), defect, nuclear = 0, asymmetry = 0;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < k; ++j)
                for (int l = 0; l < r; ++l)
                    C[i * k + j] += (double)left[i * r + l] * right[j * r + l];
        int rank;
        assert_ok(polar(C, n, k, P, &rank));
        assert_int_equal(rank, r);
        assert_ok(vkd_stiefel_defect(P, n, k, &defect, work));
        assert_below(defect / (sqrt(k) * EPS32), 1);
        const double size = norm_doubles(C, nk);
        for (int i = 0; i < k; ++i)
            for (int j = 0; j < k; ++j) {
                double w = 0, wt = 0;
                for (int l = 0; l < n; ++l) {
                    w += P[l * k + i] * C[l * k + j];
                    wt += P[l * k + j] * C[l * k + i];
                }
                if (i == j) nuclear += w;
                asymmetry += (w - wt) * (w - wt);
            }
        assert_below(sqrt(asymmetry), 2 * EPS32 * size * sqrt(k));
        for (int trial = 0; trial < 50; ++trial) { // near and far
            float *other = copy_floats(P, nk), *noise = normal_floats(nk, 1000 + trial);
            double *Y = doubles(nk), value = 0;
            for (size_t i = 0; i < nk; ++i)
                Y[i] = other[i] + noise[i] * (trial % 2 ? 0.05 : 5);
            assert_ok(polar(Y, n, k, other, NULL));
            for (size_t i = 0; i < nk; ++i)
                value += other[i] * C[i];
            assert_below(value, nuclear + 2 * EPS32 * size * sqrt(k));
            free(other);
            free(noise);
            free(Y);
        }
        free(left);
        free(right);
        free(P);
        free(C);
        free(work);
    }
}

// The factor does not see the scale, and small singular values are not lost to squaring.
static void scale_and_conditioning(void **state) {
    (void)state;
    const int n = 9, k = 3, nk = 27;
    float *Q = random_point(n, k, 1), *R = random_point(k, k, 2), P[27];
    double *C = doubles(nk), *wide = widened(Q, nk);
    const double sigma[] = {1, 1e-5, 1e-10};
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j) {
            for (int l = 0; l < k; ++l)
                C[i * k + j] += wide[i * k + l] * sigma[l] * R[j * k + l];
        }
    int rank;
    assert_ok(polar(C, n, k, P, &rank));
    assert_int_equal(rank, 3);
    // The columns of P span what Q spans, the direction of 1e-10 included.
    double *inside = doubles(nk);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            for (int l = 0; l < k; ++l)
                for (int m = 0; m < n; ++m)
                    inside[i * k + j] += wide[i * k + l] * wide[m * k + l] * P[m * k + j];
    assert_below(relative_mixed(P, inside, nk) / EPS32, 8);
    float again[27];
    for (int i = 0; i < nk; ++i)
        C[i] = ldexp(C[i], -100);
    assert_ok(polar(C, n, k, again, &rank));
    assert_below(relative_floats(again, P, nk) / EPS32, 1);
    assert_int_equal(rank, 3);
    free(Q);
    free(R);
    free(C);
    free(wide);
    free(inside);
}

static void rejects(void **state) {
    (void)state;
    float P[6] = {1, 2, 3, 4, 5, 6};
    const float keep[6] = {1, 2, 3, 4, 5, 6};
    double C[6] = {1, 0, NAN, 1, 0, 0};
    assert_int_equal(polar(C, 3, 2, P, NULL), VKD_NOT_FINITE);
    C[2] = INFINITY;
    assert_int_equal(polar(C, 3, 2, P, NULL), VKD_NOT_FINITE);
    assert_int_equal(vkd_stiefel_polar(C, 1, 2, 0, NULL, P, NULL, NULL), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_stiefel_polar(C, 2, 0, 0, NULL, P, NULL, NULL), VKD_INVALID_ARGUMENT);
    assert_memory_equal(P, keep, sizeof P);
}

// What C's own rounding has put into its kernel turns nothing, where its precision is told.
static void rounding_is_no_direction(void **state) {
    (void)state;
    const int cases[][3] = {{9, 4, 2}, {6, 6, 5}, {90, 60, 20}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const int n = cases[c][0], k = cases[c][1], r = cases[c][2];
        const size_t nk = (size_t)n * k;
        float *Q = random_point(n, k, 5), *R = random_point(k, k, 6), *previous = random_point(n, k, 7);
        float *noise = normal_floats(nk, 8), *P = floats(nk), *exact = floats(nk);
        double *C = doubles(nk), *noisy = doubles(nk), *work = doubles(vkd_stiefel_polar_workspace(n, k));
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < k; ++j)
                for (int l = 0; l < r; ++l)
                    C[i * k + j] += (1 + l) * (double)Q[i * k + l] * R[j * k + l];
        for (size_t i = 0; i < nk; ++i)
            noisy[i] = C[i] + 1e-8 * noise[i];
        int rank;
        assert_ok(vkd_stiefel_polar(C, n, k, 0, previous, exact, NULL, work));
        assert_ok(vkd_stiefel_polar(noisy, n, k, 1e-6, previous, P, &rank, work));
        assert_int_equal(rank, r);
        assert_below(relative_floats(P, exact, nk), 1e-6);
        assert_ok(vkd_stiefel_polar(noisy, n, k, 0, previous, P, &rank, work));
        assert_int_equal(rank, k);
        float *singles[] = {Q, R, previous, noise, P, exact};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        free(C);
        free(noisy);
        free(work);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_scipy),
        cmocka_unit_test(procrustes),
        cmocka_unit_test(zeros_show_every_digit),
        cmocka_unit_test(paths_agree),
        cmocka_unit_test(kernel_keeps_the_previous),
        cmocka_unit_test(rounding_is_no_direction),
        cmocka_unit_test(invariants),
        cmocka_unit_test(scale_and_conditioning),
        cmocka_unit_test(rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
