#include "numerics/matrix_exp.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/stiefel.h"
#include "numerics/stiefel_frame.h"

size_t vkd_matrix_exp_workspace(int m) {
    return 7 * (size_t)m * (size_t)m + (size_t)m; // the last m hold the pivots
}

static double norm1(const double *A, int m) { // of the transpose: the largest row sum
    double largest = 0;
    for (int i = 0; i < m; ++i) {
        double sum = 0;
        for (int j = 0; j < m; ++j)
            sum += fabs(A[(size_t)i * m + j]);
        if (sum > largest) largest = sum;
    }
    return largest;
}

// out = c0 I + c2 A2 + c4 A4 + c6 A6; a null power has coefficient zero.
static void combine(int m, double c0, double c2, const double *A2, double c4, const double *A4, double c6,
                    const double *A6, double *out) {
    const size_t mm = (size_t)m * m;
    for (size_t i = 0; i < mm; ++i) {
        double v = c2 * A2[i];
        if (A4) v += c4 * A4[i];
        if (A6) v += c6 * A6[i];
        out[i] = v;
    }
    for (int i = 0; i < m; ++i)
        out[(size_t)i * m + i] += c0;
}

// Scaling and squaring with Pade approximants of degree 3, 5, 7 and 13: N. J. Higham, "The scaling
// and squaring method for the matrix exponential revisited", SIAM J. Matrix Anal. Appl. 26 (2005),
// Algorithm 2.3 and Table 2.3. Degree 9 is left out: it saves one product in a narrow range.
static const double theta3 = 1.495585217958292e-2, theta5 = 2.539398330063230e-1,
                    theta7 = 9.504178996162932e-1, theta13 = 5.371920351148152e0;

// U = the odd part and V = the even part of the numerator; powers in A2, A4, A6, T is scratch.
static void pade(const double *A, int m, double norm, double *A2, double *A4, double *A6, double *U,
                 double *V, double *T) {
    static const double b3[] = {120, 60, 12, 1};
    static const double b5[] = {30240, 15120, 3360, 420, 30, 1};
    static const double b7[] = {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1};
    static const double b[] = {64764752532480000.,
                               32382376266240000.,
                               7771770303897600.,
                               1187353796428800.,
                               129060195264000.,
                               10559470521600.,
                               670442572800.,
                               33522128640.,
                               1323241920.,
                               40840800.,
                               960960.,
                               16380.,
                               182.,
                               1.};
    vkd_gemm_nn(m, m, m, 1, A, m, A, m, 0, A2, m);
    if (norm <= theta3) {
        combine(m, b3[1], b3[3], A2, 0, NULL, 0, NULL, T);
        combine(m, b3[0], b3[2], A2, 0, NULL, 0, NULL, V);
    } else {
        vkd_gemm_nn(m, m, m, 1, A2, m, A2, m, 0, A4, m);
        if (norm <= theta5) {
            combine(m, b5[1], b5[3], A2, b5[5], A4, 0, NULL, T);
            combine(m, b5[0], b5[2], A2, b5[4], A4, 0, NULL, V);
        } else {
            vkd_gemm_nn(m, m, m, 1, A4, m, A2, m, 0, A6, m);
            if (norm <= theta7) {
                combine(m, b7[1], b7[3], A2, b7[5], A4, b7[7], A6, T);
                combine(m, b7[0], b7[2], A2, b7[4], A4, b7[6], A6, V);
            } else {
                combine(m, b[1], b[3], A2, b[5], A4, b[7], A6, T);
                combine(m, 0, b[9], A2, b[11], A4, b[13], A6, U);
                vkd_gemm_nn(m, m, m, 1, A6, m, U, m, 1, T, m);
                combine(m, b[0], b[2], A2, b[4], A4, b[6], A6, V);
                combine(m, 0, b[8], A2, b[10], A4, b[12], A6, U);
                vkd_gemm_nn(m, m, m, 1, A6, m, U, m, 1, V, m);
            }
        }
    }
    vkd_gemm_nn(m, m, m, 1, A, m, T, m, 0, U, m);
}

vkd_status vkd_matrix_exp(const double *A, int m, double *E, double *work) {
    if (m < 1) return VKD_INVALID_ARGUMENT;
    const size_t mm = (size_t)m * m;
    if (!vkd_all_finite_double(A, mm)) return VKD_NOT_FINITE;
    const double norm = norm1(A, m);
    if (!vkd_is_finite(norm)) return VKD_NOT_FINITE;
    double *As = work, *A2 = As + mm, *A4 = A2 + mm, *A6 = A4 + mm, *U = A6 + mm, *V = U + mm, *T = V + mm;
    lapack_int *pivots = (lapack_int *)(T + mm);

    int squarings = 0;
    if (norm > theta13) squarings = (int)ceil(log2(norm / theta13));
    for (size_t i = 0; i < mm; ++i)
        As[i] = ldexp(A[i], -squarings);
    pade(As, m, ldexp(norm, -squarings), A2, A4, A6, U, V, T);

    // (V - U) E = V + U. Both sides are polynomials in A and commute, so the row-major arrays may be
    // handed over as column-major (transposed) ones, which LAPACKE does not copy.
    for (size_t i = 0; i < mm; ++i) {
        E[i] = V[i] + U[i];
        T[i] = V[i] - U[i];
    }
    if (LAPACKE_dgesv_work(LAPACK_COL_MAJOR, m, m, T, m, pivots, E, m) != 0) return VKD_SINGULAR;
    for (int s = 0; s < squarings; ++s) {
        vkd_gemm_nn(m, m, m, 1, E, m, E, m, 0, T, m);
        memcpy(E, T, mm * sizeof *E);
    }
    return vkd_all_finite_double(E, mm) ? VKD_OK : VKD_NOT_FINITE;
}

size_t vkd_matrix_exp_frechet_workspace(int m) {
    return 8 * (size_t)m * (size_t)m + vkd_matrix_exp_workspace(2 * m);
}

// exp([[A, X], [0, A]]) = [[exp A, L(A, X)], [0, exp A]] (Higham 2008, eq. 10.43 / theorem 4.12).
// X enters scaled to the size of A: the derivative is linear in X, and a large X would otherwise
// buy squarings that A does not need.
vkd_status vkd_matrix_exp_frechet(const double *A, const double *X, int m, double *L, double *work) {
    if (m < 1) return VKD_INVALID_ARGUMENT;
    const size_t mm = (size_t)m * m;
    if (!vkd_all_finite_double(X, mm)) return VKD_NOT_FINITE;
    const double size = norm1(X, m), norm = norm1(A, m);
    const double scale = size > 0 ? (norm > 1e-3 ? norm : 1e-3) / size : 1;
    const int m2 = 2 * m;
    double *B = work, *E = B + 4 * mm;
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < m; ++j) {
            const double a = A[(size_t)i * m + j];
            B[(size_t)i * m2 + j] = B[(size_t)(m + i) * m2 + m + j] = a;
            B[(size_t)i * m2 + m + j] = scale * X[(size_t)i * m + j];
            B[(size_t)(m + i) * m2 + j] = 0;
        }
    const vkd_status status = vkd_matrix_exp(B, m2, E, E + 4 * mm);
    if (status != VKD_OK) return status;
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < m; ++j)
            L[(size_t)i * m + j] = E[(size_t)i * m2 + m + j] / scale;
    return VKD_OK;
}

// The skew matrix A = Z P' - P Z' is A = U V' with U = [Z/a, P], V = [a P, -Z], and A U = U (V'U),
// so exp(A) P = U exp(V'U) [0; I]: one 2k x 2k exponential, no division by V'U, exact for any
// rank. M = V'U comes from H = [Z, P]'[Z, P], hence from the actual P'P. The factor a > 0 is a
// similarity; a = |Z| balances the off-diagonal blocks a P'P and -Z'Z/a, which saves
// squarings for large steps and a high Pade degree for small ones.
static double balanced_matrix(const double *H, int k, double *M) {
    const size_t k2 = 2 * (size_t)k;
    double largest = 0;
    for (int i = 0; i < k; ++i) {
        double sum = 0;
        for (int j = 0; j < k; ++j)
            sum += fabs(H[i * k2 + j]);
        if (sum > largest) largest = sum;
    }
    const double a = largest > 0 ? sqrt(largest) : 1;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            M[i * k2 + j] = H[(k + i) * k2 + j];
            M[i * k2 + k + j] = a * H[(k + i) * k2 + k + j];
            M[(k + i) * k2 + j] = -H[i * k2 + j] / a;
            M[(k + i) * k2 + k + j] = -H[i * k2 + k + j];
        }
    return a;
}

static vkd_status check(const float *P, const float *D, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    return vkd_all_finite(P, nk) && vkd_all_finite(D, nk) ? VKD_OK : VKD_NOT_FINITE;
}

static int is_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return 0;
    return 1;
}

vkd_status vkd_stiefel_exp(float *P, const float *D, int n, int k, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k, k2 = 2 * (size_t)k;
    if (is_zero(D, nk)) return VKD_OK;
    double *U = work, *next = U + 2 * nk, *H = next + nk, *M = H + 4 * kk, *E = M + 4 * kk;
    double *C = E + 4 * kk, *CN = C + 2 * kk, *N = CN + 2 * kk, *rest = N + kk;
    vkd_stiefel_frame(P, D, n, k, U, H, N);
    const double a = balanced_matrix(H, k, M);
    status = vkd_matrix_exp(M, 2 * k, E, rest);
    if (status != VKD_OK) return status;
    for (size_t i = 0; i < k2; ++i)
        for (int j = 0; j < k; ++j)
            C[i * k + j] = E[i * k2 + k + j] / (i < (size_t)k ? a : 1);
    return vkd_stiefel_frame_finish(U, H, C, n, k, P, CN, N, next);
}

size_t vkd_stiefel_exp_adjoint_workspace(int n, int k) {
    const size_t nk = (size_t)n * (size_t)k, kk = (size_t)k * (size_t)k;
    return 4 * nk + 24 * kk + vkd_matrix_exp_frechet_workspace(2 * k);
}

// New point = U C N, C = exp(M) [0; I], M = V'U. With B = L(M', U'G N [0, I]) the gradient at M,
// dU = G N C' + V B and dV = U B'; Z stands in the first half of U (divided by a) and, with the
// minus sign, in the second half of V:
// dZ = G N C_1' / a + Z (-B_21 - B_21') / a + P (B_11 - B_22').
vkd_status vkd_stiefel_exp_adjoint(const float *P, const float *D, const float *G, float *dD, int n, int k,
                                   double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k, k2 = 2 * (size_t)k;
    if (!vkd_all_finite(G, nk)) return VKD_NOT_FINITE;
    double *U = work, *Gd = U + 2 * nk, *dZ = Gd + nk, *H = dZ + nk, *M = H + 4 * kk, *E = M + 4 * kk;
    double *B = E + 4 * kk, *F = B + 4 * kk, *N = F + 2 * kk, *R = N + kk, *Q = R + kk, *rest = Q + 2 * kk;
    vkd_stiefel_frame(P, D, n, k, U, H, N);
    const double a = balanced_matrix(H, k, M);
    status = vkd_matrix_exp(M, 2 * k, E, rest);
    if (status != VKD_OK) return status;
    vkd_stiefel_frame_correction(H, k, N);
    vkd_widen(G, k, n, k, Gd, k);

    vkd_gemm_tn(2 * k, k, n, 1, U, 2 * k, Gd, k, 0, Q, k); // [Z, P]'G
    vkd_gemm_nn(2 * k, k, k, 1, Q, k, N, k, 0, F, k);
    vkd_gemm_nt(k, k, k, 1 / a, N, k, E + k, 2 * k, 0, R, k); // N C_1' / a, C_1 = E_12
    for (size_t i = 0; i < k2; ++i)
        for (int j = 0; j < k; ++j) {
            E[i * k2 + j] = 0;
            E[i * k2 + k + j] = F[i * k + j] / (i < (size_t)k ? a : 1);
        }
    for (size_t i = 0; i < k2; ++i) // M <- M'
        for (size_t j = 0; j < i; ++j) {
            const double t = M[i * k2 + j];
            M[i * k2 + j] = M[j * k2 + i];
            M[j * k2 + i] = t;
        }
    status = vkd_matrix_exp_frechet(M, E, 2 * k, B, rest);
    if (status != VKD_OK) return status;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            Q[(size_t)i * k + j] = -(B[(k + i) * k2 + j] + B[(k + j) * k2 + i]) / a;
            Q[(size_t)(k + i) * k + j] = B[i * k2 + j] - B[(k + j) * k2 + k + i];
        }
    return vkd_stiefel_frame_adjoint(U, Gd, R, Q, n, k, dD, dZ, N);
}
