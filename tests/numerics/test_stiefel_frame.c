#include "retraction_support.h"

#include "numerics/stiefel_frame.h"

// A(Z) P = D for a tangent D, where A = Z P' - P Z'; H is the Gram matrix of [Z, P].
static void frame_of_a_tangent(void **state) {
    (void)state;
    const int shapes[][2] = {{1, 1}, {6, 1}, {5, 5}, {12, 4}};
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int n = shapes[s][0], k = shapes[s][1], k2 = 2 * k;
        float *P = random_point(n, k, s), *D = random_tangent(P, n, k, 0, 2, s);
        double *U = doubles((size_t)n * k2), *H = doubles((size_t)k2 * k2), *S = doubles((size_t)k * k);
        vkd_stiefel_frame(P, D, n, k, U, H, S);
        double error = 0, gram = 0;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < k; ++j) {
                double ap = 0;
                for (int r = 0; r < n; ++r)
                    for (int c = 0; c < k; ++c)
                        ap += (U[i * k2 + c] * P[r * k + c] - P[i * k + c] * U[r * k2 + c]) * P[r * k + j];
                error += pow(ap - D[i * k + j], 2);
            }
        assert_below(sqrt(error) / EPS32, 3 * (1 + norm_floats(D, (size_t)n * k)));
        for (int i = 0; i < k2; ++i)
            for (int j = 0; j < k2; ++j) {
                double h = 0;
                for (int r = 0; r < n; ++r)
                    h += U[r * k2 + i] * U[r * k2 + j];
                gram += pow(h - H[i * k2 + j], 2);
            }
        assert_below(sqrt(gram) / (norm_doubles(H, (size_t)k2 * k2) * n * EPS64), 1);
        free(P);
        free(D);
        free(U);
        free(H);
        free(S);
    }
}

// D -> Z is linear; its adjoint: <Z(V), Y> = <V, adjoint(Y)>, with Y given as G R + U Q.
static void frame_adjoint(void **state) {
    (void)state;
    const int n = 9, k = 4, k2 = 8, nk = 36;
    float *P = random_point(n, k, 3), *V = normal_floats(nk, 4), *dD = floats(nk);
    float *Gf = normal_floats(nk, 5), *Rf = normal_floats(k * k, 6), *Qf = normal_floats(k2 * k, 7);
    double *G = widened(Gf, nk), *R = widened(Rf, k * k), *Q = widened(Qf, k2 * k);
    double *U = doubles(n * k2), *H = doubles(k2 * k2), *S = doubles(k * k), *dZ = doubles(nk);
    double *Y = doubles(nk), *UQ = doubles(nk);
    vkd_stiefel_frame(P, V, n, k, U, H, S);
    plain_product(G, R, n, k, k, Y);
    plain_product(U, Q, n, k2, k, UQ);
    double left = 0;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            left += U[i * k2 + j] * (Y[i * k + j] += UQ[i * k + j]);
    assert_ok(vkd_stiefel_frame_adjoint(U, G, R, Q, n, k, dD, dZ, S));
    assert_below(fabs(left - dot_floats(V, dD, nk)) / (norm_floats(V, nk) * norm_floats(dD, nk)), EPS32);
    free(P);
    free(V);
    free(dD);
    free(Gf);
    free(Rf);
    free(Qf);
    free(G);
    free(R);
    free(Q);
    free(U);
    free(H);
    free(S);
    free(dZ);
    free(Y);
    free(UQ);
}

// C = [0; I] stands for the identity map: the finish is then the Newton-Schulz step alone.
static void finish_is_a_polish(void **state) {
    (void)state;
    const int n = 10, k = 3, k2 = 6, nk = 30;
    float *P = random_point(n, k, 1), *D = floats(nk), *noise = normal_floats(nk, 2);
    double C[18] = {0}, U[60], H[36], S[9], CN[18], N[9], next[30], *work = stiefel_work(n, k);
    for (int i = 0; i < nk; ++i)
        P[i] += 1e-3f * noise[i];
    float *want = copy_floats(P, nk);
    for (int i = 0; i < k; ++i)
        C[(k + i) * k + i] = 1;
    vkd_stiefel_frame(P, D, n, k, U, H, S);
    assert_true(U[0] == 0 && k2 == 2 * k);
    assert_ok(vkd_stiefel_frame_finish(U, H, C, n, k, P, CN, N, next));
    assert_ok(vkd_stiefel_polish(want, n, k, work));
    assert_below(relative_floats(P, want, nk) / EPS32, 1);
    C[0] = NAN;
    memcpy(want, P, nk * sizeof *P);
    assert_int_equal(vkd_stiefel_frame_finish(U, H, C, n, k, P, CN, N, next), VKD_NOT_FINITE);
    assert_memory_equal(P, want, nk * sizeof *P);
    free(P);
    free(D);
    free(noise);
    free(want);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_of_a_tangent),
        cmocka_unit_test(frame_adjoint),
        cmocka_unit_test(finish_is_a_polish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
