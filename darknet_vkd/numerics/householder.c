#include "numerics/householder.h"

#include <math.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

// Two products of reflectors meet here, both in compact WY form (Schreiber, Van Loan 1989):
//
//     B = (I - Y T Y') diag(s, I)    the base's, Y unit lower trapezoidal, T upper triangular
//     Q = W F - E,  F = R W_1'       the map's, W = E + X, W_1 its top k rows, R upper triangular
//
// and by the UT transform (Joffrain, Low, Quintana-Orti, van de Geijn, Van Zee 2006) R^-1 is the strict upper
// triangle of W'W plus half its diagonal, when the reflectors are I - 2 w w'/w'w.

// ------------------------------------------------------------------------------------------------ the base

enum { PANEL = 8 };

// M (rows,cols), row stride ld: M - diag(s) = L U without pivoting in place, L unit lower trapezoidal, where
// the sign s_j = -sign of the pivot it is subtracted from, so that no pivot is smaller than 1 (G. Ballard et
// al., "Reconstructing Householder vectors from tall-skinny QR", 2014, section 5.1; here with M = -P).
static void signed_lu(double *M, int rows, int cols, int ld, double *s) {
    if (cols > PANEL) {
        const int left = cols / 2, right = cols - left;
        double *below = M + (size_t)left * ld;
        signed_lu(M, rows, left, ld, s);
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, left, right, 1, M, ld,
                    M + left, ld);
        vkd_gemm_nn(rows - left, right, left, -1, below, ld, M + left, ld, 1, below + left, ld);
        signed_lu(below + left, rows - left, right, ld, s + left);
        return;
    }
    for (int i = 0; i < rows; ++i) {
        double *row = M + (size_t)i * ld;
        const int end = i < cols ? i : cols;
        for (int l = 0; l < end; ++l) {
            const double *upper = M + (size_t)l * ld;
            row[l] /= upper[l];
            for (int j = l + 1; j < cols; ++j)
                row[j] -= row[l] * upper[j];
        }
        if (i < cols) {
            s[i] = row[i] > 0 ? 1 : -1;
            row[i] += s[i];
        }
    }
}

// Y, s and T of B E = P: diag(s) - P = Y U, and E - P diag(s) = Y (T Y_1') gives T = U diag(s) Y_1^-T.
static void complete(const double *P, int n, int k,
                     double *Y, // (n,k) =
                     double *T, // (k,k) = upper triangle, zero below
                     double *s) // (k) =
{
    for (size_t i = 0; i < (size_t)n * k; ++i)
        Y[i] = -P[i];
    signed_lu(Y, n, k, k, s);
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            const size_t at = (size_t)i * k + j;
            T[at] = j >= i ? Y[at] * s[j] : 0;
            if (j >= i) Y[at] = i == j;
        }
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasUnit, k, k, 1, Y, k, T, k);
}

static void scale_rows(const double *s, int k, double *Z) {
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j)
            Z[(size_t)i * k + j] *= s[i];
}

// Z <- B Z or B'Z, with op = NoTrans or Trans; A (k,k) is scratch.
static void apply_base(CBLAS_TRANSPOSE op, const double *Y, const double *T, const double *s, int n, int k,
                       double *Z, double *A) {
    if (op == CblasNoTrans) scale_rows(s, k, Z);
    vkd_gemm_tn(k, k, n, 1, Y, k, Z, k, 0, A, k);
    cblas_dtrmm(CblasRowMajor, CblasLeft, CblasUpper, op, CblasNonUnit, k, k, 1, T, k, A, k);
    vkd_gemm_nn(n, k, k, -1, Y, k, A, k, 1, Z, k);
    if (op == CblasTrans) scale_rows(s, k, Z);
}

// ------------------------------------------------------------------------------------------------- the map

typedef struct reflectors {
    double *Y, *T, *s;     // of the base
    double *W, *N, *F, *A; // (n,k), R^-1 (k,k), (k,k), scratch (k,k)
} reflectors;

static size_t workspace(int n, int k) {
    const size_t nk = (size_t)n * (size_t)k, kk = (size_t)k * (size_t)k;
    return 3 * nk + 6 * kk + (size_t)k;
}

// The rest of the workspace, (n,k) and 2 (k,k), is for the caller.
static double *prepare(const double *P, const double *D, int n, int k, reflectors *r, double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    *r = (reflectors){.Y = work, .W = work + nk, .T = work + 2 * nk};
    r->N = r->T + kk;
    r->F = r->N + kk;
    r->A = r->F + kk;
    r->s = r->A + kk;
    complete(P, n, k, r->Y, r->T, r->s);

    double *W = r->W;
    memcpy(W, D, nk * sizeof *W);
    apply_base(CblasTrans, r->Y, r->T, r->s, n, k, W, r->A);
    for (size_t i = 0; i < nk; ++i)
        W[i] /= 2;
    for (int i = 0; i < k; ++i)
        for (int j = i; j < k; ++j)
            W[(size_t)i * k + j] = i == j;

    vkd_gram(k, n, W, k, r->N);
    for (int i = 0; i < k; ++i) {
        r->N[(size_t)i * k + i] /= 2;
        for (int j = 0; j < i; ++j)
            r->N[(size_t)i * k + j] = 0;
    }
    vkd_transpose(W, k, k, r->F);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, k, k, 1, r->N, k, r->F, k);
    return r->s + k;
}

static vkd_status forward(const double *P, const double *D, int n, int k, double *V, double *work) {
    reflectors r;
    prepare(P, D, n, k, &r, work);
    vkd_gemm_nn(n, k, k, 1, r.W, k, r.F, k, 0, V, k);
    for (int i = 0; i < k; ++i)
        V[(size_t)i * k + i] -= 1;
    apply_base(CblasNoTrans, r.Y, r.T, r.s, n, k, V, r.A);
    return VKD_OK;
}

// dQ = B'G; of Q = W F - E: dW = dQ F', dF = W'dQ. Of F = R W_1': dR = dF W_1, dW_1 += dF'R. Of R = N^-1:
// dN = -R' dR R', and with R' dF = N^-T dF =: K it is dN = -K W_1 R' = -K F'. Of N = the weighted upper
// triangle of W'W: dW += W (L' + L) with L the upper triangle of dN, its diagonal halved. X is the strict
// lower trapezoid of W and of B'D/2: dD = B lower(dW)/2.
static vkd_status adjoint(const double *P, const double *D, const double *G, int n, int k, double *dD,
                          double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    reflectors r;
    double *dQ = prepare(P, D, n, k, &r, work), *K = dQ + nk, *dN = K + kk;
    memcpy(dQ, G, nk * sizeof *dQ);
    apply_base(CblasTrans, r.Y, r.T, r.s, n, k, dQ, r.A);

    vkd_gemm_nt(n, k, k, 1, dQ, k, r.F, k, 0, dD, k);
    vkd_gemm_tn(k, k, n, 1, r.W, k, dQ, k, 0, K, k);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, k, k, 1, r.N, k, K, k);
    // dW_1 += (R' dF)' = K': the strict lower part of it is what counts
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < i; ++j)
            dD[(size_t)i * k + j] += K[(size_t)j * k + i];
    vkd_gemm_nt(k, k, k, -1, K, k, r.F, k, 0, dN, k);
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < i; ++j)
            dN[(size_t)i * k + j] = dN[(size_t)j * k + i]; // L' + L
    vkd_gemm_nn(n, k, k, 1, r.W, k, dN, k, 1, dD, k);
    for (size_t i = 0; i < nk; ++i)
        dD[i] /= 2;
    for (int i = 0; i < k; ++i)
        for (int j = i; j < k; ++j)
            dD[(size_t)i * k + j] = 0;
    apply_base(CblasNoTrans, r.Y, r.T, r.s, n, k, dD, r.A);
    return VKD_OK;
}

// ------------------------------------------------------------------------------------------- small steps
//
// B drops out. The top of B'D is E'B'D = P'D, whose strict lower triangle L is all that the map reads of it,
// and with B E = P the reflectors stand at B W = P (I + L/2) + D_n/2, D_n = D - P S the part normal to span
// P: W'W = A'A + F/4 with A = I + L/2, and V = B W F_h - P = P (A F_h - I) + (D - P S) F_h/2.

static void coordinates(const double *X, int k, double *S) {
    for (int i = 0; i < k; ++i) {
        S[(size_t)i * k + i] = 0;
        for (int j = 0; j < i; ++j) {
            S[(size_t)i * k + j] = X[(size_t)i * k + j];
            S[(size_t)j * k + i] = -X[(size_t)i * k + j];
        }
    }
}

// F_h = N^-1 A'. With S = L - L', A - S/2 = I + L'/2 = A': C1 = F_h/2, C2 = A' F_h - I.
static vkd_status tangent_step(const double *S, const double *F, double size, double accuracy, int k,
                               double *C1, double *C2, double *scratch) {
    (void)size;
    (void)accuracy;
    const size_t kk = (size_t)k * k;
    double *A = scratch, *N = A + kk;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            const size_t at = (size_t)i * k + j;
            A[at] = j < i ? S[at] / 2 : i == j;
            C1[(size_t)j * k + i] = A[at];
        }
    vkd_gram(k, k, A, k, N);
    for (size_t i = 0; i < kk; ++i)
        N[i] += F[i] / 4;
    for (int i = 0; i < k; ++i)
        N[(size_t)i * k + i] /= 2;
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, k, k, 1, N, k, C1, k);
    memcpy(C2, C1, kk * sizeof *C2);
    cblas_dtrmm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasUnit, k, k, 1, A, k, C2, k);
    for (size_t i = 0; i < kk; ++i)
        C1[i] /= 2;
    for (int i = 0; i < k; ++i)
        C2[(size_t)i * k + i] -= 1;
    return vkd_all_finite_double(C1, kk) ? VKD_OK : VKD_NOT_FINITE;
}

static const vkd_tangent_map tangent = {coordinates, tangent_step};

const vkd_orthogonal_map vkd_map_householder = {
    .forward = forward, .adjoint = adjoint, .workspace = workspace, .tangent = &tangent};
