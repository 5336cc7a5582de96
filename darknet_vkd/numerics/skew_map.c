#include "numerics/skew_map.h"

#include <math.h>
#include <string.h>

#include "numerics/linalg.h"

// The side of the matrix that f is applied to.
static int side(int n, int k) {
    return n == k ? k : n < 2 * k ? n : 2 * k;
}

size_t vkd_skew_map_workspace(const vkd_skew_function *f, int n, int k) {
    const size_t m = (size_t)side(n, k), kk = (size_t)k * (size_t)k;
    return 4 * m * m + 6 * kk + 3 * (size_t)n * (size_t)k + f->workspace((int)m);
}

// S = skew(P'D)
static void skew_coordinates(const double *P, const double *D, int n, int k, double *S) {
    vkd_gemm_tn(k, k, n, 1, P, k, D, k, 0, S, k);
    vkd_skew_part(S, k, 1);
}

// ---------------------------------------------------------------------------------------------- n >= 2k
//
// A = D P' - P D' - P S P' = U J U' with U = [D/a, P] and J = [[0, aI], [-aI, -S]], so A U = U M with M = J
// H, H = U'U. With X = P'D and W = P'P, which is the identity up to rounding and enters as it is:
//
//     M = [[X, aW], [-(D'D + S X)/a, -X' - S W]]
//
// The scale a > 0 is a similarity; a = |D'D + S X|^(1/2) balances the two off-diagonal blocks, which saves
// squarings of the exponential for large steps and a high degree for small ones. D may have any rank: nothing
// is divided by H.

typedef struct thin {
    double a, *X, *W, *S, *M; // (k,k), (k,k), (k,k), (2k,2k)
} thin;

// F = D'D
static void thin_products(const double *P, const double *D, int n, int k, thin *t, double *F) {
    vkd_gemm_tn(k, k, n, 1, P, k, D, k, 0, t->X, k);
    vkd_gram(k, n, P, k, t->W);
    vkd_gram(k, n, D, k, F);
}

// M, and S and a with it; F <- D'D + S X.
static void thin_matrix(int k, thin *t, double *F) {
    const size_t k2 = 2 * (size_t)k;
    memcpy(t->S, t->X, (size_t)k * k * sizeof *t->S);
    vkd_skew_part(t->S, k, 1);
    vkd_gemm_nn(k, k, k, 1, t->S, k, t->X, k, 1, F, k);
    const double size = vkd_largest_row(F, k), a = t->a = size > 0 ? sqrt(size) : 1;
    for (size_t i = 0; i < (size_t)k; ++i)
        for (size_t j = 0; j < (size_t)k; ++j) {
            t->M[i * k2 + j] = t->X[i * k + j];
            t->M[i * k2 + k + j] = a * t->W[i * k + j];
            t->M[(k + i) * k2 + j] = -F[i * k + j] / a;
            t->M[(k + i) * k2 + k + j] = -t->X[j * k + i];
        }
    vkd_gemm_nn(k, k, k, -1, t->S, k, t->W, k, 1, t->M + k * k2 + k, 2 * k);
}

static vkd_status thin_forward(const vkd_skew_function *f, const double *P, const double *D, int n, int k,
                               double *V, double *work) {
    const size_t kk = (size_t)k * k;
    thin t = {.X = work, .W = work + kk, .S = work + 2 * kk, .M = work + 3 * kk};
    double *F = work + 7 * kk, *Ct = F + kk; // Ct (k,2k)
    thin_products(P, D, n, k, &t, F);
    thin_matrix(k, &t, F);
    const vkd_status status = f->forward(t.M, 2 * k, NULL, k, Ct, Ct + 2 * kk);
    if (status != VKD_OK) return status;
    vkd_gemm_nt(n, k, k, 1 / t.a, D, k, Ct, 2 * k, 0, V, k);
    vkd_gemm_nt(n, k, k, 1, P, k, Ct + k, 2 * k, 1, V, k);
    return VKD_OK;
}

// V = U C: dU = G C' + U (dH + dH'). With B the gradient at M = J H: dH = J'B, dJ = B H', and S stands in J
// alone, dS = -(B H)_22. Collected for D, which is a times the first half of U:
//
//     dD = G C_1'/a - D (B_21 + B_21')/a + P (B_11 - B_22' + S B_21/a - skew(B_21 X'/a + B_22 W))
static vkd_status thin_adjoint(const vkd_skew_function *f, const double *P, const double *D, const double *G,
                               int n, int k, double *dD, double *work) {
    const size_t kk = (size_t)k * k, k2 = 2 * (size_t)k;
    thin t = {.X = work, .W = work + kk, .S = work + 2 * kk, .M = work + 3 * kk};
    double *F = work + 7 * kk, *Ct = F + kk, *dCt = Ct + 2 * kk, *B = dCt + 2 * kk, *Q = B + 4 * kk;
    thin_products(P, D, n, k, &t, F);
    thin_matrix(k, &t, F);
    vkd_gemm_tn(k, k, n, 1 / t.a, G, k, D, k, 0, dCt, 2 * k);
    vkd_gemm_tn(k, k, n, 1, G, k, P, k, 0, dCt + k, 2 * k);
    const vkd_status status = f->adjoint(t.M, 2 * k, NULL, k, dCt, Ct, B, Q + kk);
    if (status != VKD_OK) return status;
    const double *B21 = B + k * k2, *B22 = B21 + k;
    vkd_gemm_nt(k, k, k, -1 / t.a, B21, 2 * k, t.X, k, 0, Q, k);
    vkd_gemm_nn(k, k, k, -1, B22, 2 * k, t.W, k, 1, Q, k);
    vkd_skew_part(Q, k, 1);
    vkd_gemm_nn(k, k, k, 1 / t.a, t.S, k, B21, 2 * k, 1, Q, k);
    for (size_t i = 0; i < (size_t)k; ++i)
        for (size_t j = 0; j < (size_t)k; ++j) {
            Q[i * k + j] += B[i * k2 + j] - B22[j * k2 + i];
            F[i * k + j] = -(B21[i * k2 + j] + B21[j * k2 + i]) / t.a;
        }
    vkd_gemm_nn(n, k, k, 1 / t.a, G, k, Ct, 2 * k, 0, dD, k);
    vkd_gemm_nn(n, k, k, 1, D, k, F, k, 1, dD, k);
    vkd_gemm_nn(n, k, k, 1, P, k, Q, k, 1, dD, k);
    return VKD_OK;
}

// ------------------------------------------------------------------------------------------ k < n < 2k

// A = Z P' - P Z'; S (k,k) and Z (n,k) are scratch.
static void whole_matrix(const double *P, const double *D, int n, int k, double *A, double *S, double *Z) {
    skew_coordinates(P, D, n, k, S);
    memcpy(Z, D, (size_t)n * k * sizeof *Z);
    vkd_gemm_nn(n, k, k, -0.5, P, k, S, k, 1, Z, k);
    vkd_gemm_nt(n, n, k, 1, Z, k, P, k, 0, A, n);
    vkd_skew_part(A, n, 2);
}

static vkd_status whole_forward(const vkd_skew_function *f, const double *P, const double *D, int n, int k,
                                double *V, double *work) {
    double *A = work, *S = A + (size_t)n * n, *Z = S + (size_t)k * k, *Vt = Z + (size_t)n * k;
    whole_matrix(P, D, n, k, A, S, Z);
    double *Pt = Z;
    vkd_transpose(P, n, k, Pt);
    const vkd_status status = f->forward(A, n, Pt, k, Vt, Vt + (size_t)n * k);
    if (status == VKD_OK) vkd_transpose(Vt, k, n, V);
    return status;
}

// V = f(A) P. With B the gradient at A, dZ = (B - B') P and dD = dZ - P skew(P'dZ)/2.
static vkd_status whole_adjoint(const vkd_skew_function *f, const double *P, const double *D, const double *G,
                                int n, int k, double *dD, double *work) {
    const size_t nn = (size_t)n * n, nk = (size_t)n * k;
    double *A = work, *B = A + nn, *S = B + nn, *Z = S + (size_t)k * k, *Gt = Z + nk, *Vt = Gt + nk;
    whole_matrix(P, D, n, k, A, S, Z);
    double *Pt = Z;
    vkd_transpose(P, n, k, Pt);
    vkd_transpose(G, n, k, Gt);
    const vkd_status status = f->adjoint(A, n, Pt, k, Gt, Vt, B, Vt + nk);
    if (status != VKD_OK) return status;
    vkd_skew_part(B, n, 2);
    vkd_gemm_nn(n, k, n, 1, B, n, P, k, 0, dD, k);
    skew_coordinates(P, dD, n, k, S);
    vkd_gemm_nn(n, k, k, -0.5, P, k, S, k, 1, dD, k);
    return VKD_OK;
}

// ----------------------------------------------------------------------------------------------- n = k

// M = -S = skew(D'P)
static vkd_status square_forward(const vkd_skew_function *f, const double *P, const double *D, int k,
                                 double *V, double *work) {
    double *M = work;
    skew_coordinates(D, P, k, k, M);
    return vkd_skew_map_square(f, P, M, k, V, M + (size_t)k * k);
}

vkd_status vkd_skew_map_square(const vkd_skew_function *f, const double *P, const double *M, int k, double *V,
                               double *work) {
    return f->forward(M, k, P, k, V, work);
}

// With B the gradient at M, that at D is -P skew(B).
static vkd_status square_adjoint(const vkd_skew_function *f, const double *P, const double *D,
                                 const double *G, int k, double *dD, double *work) {
    const size_t kk = (size_t)k * k;
    double *M = work, *V = M + kk, *B = V + kk;
    skew_coordinates(D, P, k, k, M);
    const vkd_status status = f->adjoint(M, k, P, k, G, V, B, B + kk);
    if (status != VKD_OK) return status;
    vkd_skew_part(B, k, -1);
    vkd_gemm_nn(k, k, k, 1, P, k, B, k, 0, dD, k);
    return VKD_OK;
}

vkd_status vkd_skew_map_forward(const vkd_skew_function *f, const double *P, const double *D, int n, int k,
                                double *V, double *work) {
    return n == k      ? square_forward(f, P, D, k, V, work)
           : n < 2 * k ? whole_forward(f, P, D, n, k, V, work)
                       : thin_forward(f, P, D, n, k, V, work);
}

vkd_status vkd_skew_map_adjoint(const vkd_skew_function *f, const double *P, const double *D, const double *G,
                                int n, int k, double *dD, double *work) {
    return n == k      ? square_adjoint(f, P, D, G, k, dD, work)
           : n < 2 * k ? whole_adjoint(f, P, D, G, n, k, dD, work)
                       : thin_adjoint(f, P, D, G, n, k, dD, work);
}

void vkd_skew_coordinates(const double *X, int k, double *S) {
    memcpy(S, X, (size_t)k * k * sizeof *S);
    vkd_skew_part(S, k, 1);
}
