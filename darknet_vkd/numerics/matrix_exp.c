#include "numerics/matrix_exp.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/skew_map.h"

// A matrix and its derivative in one direction. d is null where only the value is wanted.
typedef struct pair {
    double *x, *d; // (m,m)
} pair;

enum { PAIRS = 7 };

size_t vkd_matrix_exp_workspace(int m) {
    return PAIRS * (size_t)m * (size_t)m + (size_t)m; // the last m hold the pivots
}

size_t vkd_matrix_exp_frechet_workspace(int m) {
    return 2 * PAIRS * (size_t)m * (size_t)m + (size_t)m;
}

// C = A B + beta C, and by the product rule dC = A dB + dA B + beta dC.
static void multiply(int m, pair A, pair B, double beta, pair C) {
    vkd_gemm_nn(m, m, m, 1, A.x, m, B.x, m, beta, C.x, m);
    if (!C.d) return;
    vkd_gemm_nn(m, m, m, 1, A.x, m, B.d, m, beta, C.d, m);
    vkd_gemm_nn(m, m, m, 1, A.d, m, B.x, m, 1, C.d, m);
}

// out = c0 I + c2 A2 + c4 A4 + c6 A6; a power whose coefficient is zero is not read.
static void combine_one(size_t mm, double c2, const double *A2, double c4, const double *A4, double c6,
                        const double *A6, double *out) {
    for (size_t i = 0; i < mm; ++i) {
        double v = c2 * A2[i];
        if (c4 != 0) v += c4 * A4[i];
        if (c6 != 0) v += c6 * A6[i];
        out[i] = v;
    }
}

static void combine(int m, double c0, double c2, double c4, double c6, const pair *A, pair out) {
    const size_t mm = (size_t)m * m;
    combine_one(mm, c2, A[0].x, c4, A[1].x, c6, A[2].x, out.x);
    for (int i = 0; i < m; ++i)
        out.x[(size_t)i * m + i] += c0;
    if (out.d) combine_one(mm, c2, A[0].d, c4, A[1].d, c6, A[2].d, out.d);
}

// Scaling and squaring with Pade approximants of degree 3, 5, 7 and 13: N. J. Higham, "The scaling
// and squaring method for the matrix exponential revisited", SIAM J. Matrix Anal. Appl. 26 (2005),
// Algorithm 2.3 and Table 2.3. Degree 9 is left out: it saves one product in a narrow range. Its derivative,
// term by term: A. H. Al-Mohy, N. J. Higham, "Computing the Frechet derivative of the matrix exponential",
// SIAM J. Matrix Anal. Appl. 30 (2009), Algorithm 6.4 and Table 6.1.
typedef struct limits {
    double degree3, degree5, degree7, degree13;
} limits;

static const limits theta = {1.495585217958292e-2, 2.539398330063230e-1, 9.504178996162932e-1,
                             5.371920351148152e0};
static const limits ell = {1.08e-2, 2.00e-1, 7.83e-1, 4.74e0};

// U = the odd part and V = the even part of the numerator; the powers 2, 4, 6 in power, T is scratch.
static void pade(pair A, int m, double norm, const limits *limit, pair *power, pair U, pair V, pair T) {
    static const double b3[] = {120, 60, 12, 1, 0, 0, 0, 0};
    static const double b5[] = {30240, 15120, 3360, 420, 30, 1, 0, 0};
    static const double b7[] = {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1};
    static const double b13[] = {64764752532480000.,
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
    const double *b = norm <= limit->degree3   ? b3
                      : norm <= limit->degree5 ? b5
                      : norm <= limit->degree7 ? b7
                                               : b13;
    multiply(m, A, A, 0, power[0]);
    if (b != b3) multiply(m, power[0], power[0], 0, power[1]);
    if (b == b7 || b == b13) multiply(m, power[1], power[0], 0, power[2]);
    combine(m, b[1], b[3], b[5], b[7], power, T);
    combine(m, b[0], b[2], b[4], b[6], power, V);
    if (b == b13) {
        combine(m, 0, b[9], b[11], b[13], power, U);
        multiply(m, power[2], U, 1, T);
        combine(m, 0, b[8], b[10], b[12], power, U);
        multiply(m, power[2], U, 1, V);
    }
    multiply(m, A, T, 0, U);
}

// E (V - U) = V + U, and with the product rule L (V - U) = dV + dU - E (dV - dU). LAPACK reads a row-major
// array as its transpose, so that the factor on the right becomes the one on the left it wants.
static vkd_status quotient(int m, pair U, pair V, pair T, pair E, lapack_int *pivots) {
    const size_t mm = (size_t)m * m;
    for (size_t i = 0; i < mm; ++i) {
        E.x[i] = V.x[i] + U.x[i];
        T.x[i] = V.x[i] - U.x[i];
    }
    if (LAPACKE_dgesv_work(LAPACK_COL_MAJOR, m, m, T.x, m, pivots, E.x, m) != 0) return VKD_SINGULAR;
    if (!E.d) return VKD_OK;
    for (size_t i = 0; i < mm; ++i) {
        E.d[i] = V.d[i] + U.d[i];
        T.d[i] = V.d[i] - U.d[i];
    }
    vkd_gemm_nn(m, m, m, -1, E.x, m, T.d, m, 1, E.d, m);
    return LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', m, m, T.x, m, pivots, E.d, m) == 0 ? VKD_OK
                                                                                         : VKD_SINGULAR;
}

static vkd_status exponential(const double *A, const double *X, int m, pair E, double *work) {
    if (m < 1) return VKD_INVALID_ARGUMENT;
    const size_t mm = (size_t)m * m;
    if (!vkd_all_finite_double(A, mm) || (X && !vkd_all_finite_double(X, mm))) return VKD_NOT_FINITE;
    const double norm = vkd_largest_row(A, m); // of the transpose: norm 1
    if (!vkd_is_finite(norm)) return VKD_NOT_FINITE;
    pair p[PAIRS]; // A scaled, its powers 2, 4 and 6, U, V, T
    for (int i = 0; i < PAIRS; ++i) {
        p[i].x = work;
        p[i].d = X ? work + PAIRS * mm : NULL;
        work += mm;
    }
    lapack_int *pivots = (lapack_int *)(X ? work + PAIRS * mm : work);
    const limits *limit = X ? &ell : &theta;

    int squarings = 0;
    if (norm > limit->degree13) squarings = (int)ceil(log2(norm / limit->degree13));
    for (size_t i = 0; i < mm; ++i) {
        p[0].x[i] = ldexp(A[i], -squarings);
        if (X) p[0].d[i] = ldexp(X[i], -squarings);
    }
    pade(p[0], m, ldexp(norm, -squarings), limit, p + 1, p[4], p[5], p[6]);
    const vkd_status status = quotient(m, p[4], p[5], p[6], E, pivots);
    if (status != VKD_OK) return status;
    for (int s = 0; s < squarings; ++s) {
        multiply(m, E, E, 0, p[6]);
        memcpy(E.x, p[6].x, mm * sizeof *E.x);
        if (X) memcpy(E.d, p[6].d, mm * sizeof *E.d);
    }
    return vkd_all_finite_double(E.x, mm) && (!X || vkd_all_finite_double(E.d, mm)) ? VKD_OK : VKD_NOT_FINITE;
}

vkd_status vkd_matrix_exp(const double *A, int m, double *E, double *work) {
    return exponential(A, NULL, m, (pair){E, NULL}, work);
}

vkd_status vkd_matrix_exp_frechet(const double *A, const double *X, int m, double *E, double *L,
                                  double *work) {
    return exponential(A, X, m, (pair){E, L}, work);
}

static size_t function_workspace(int m) {
    return 3 * (size_t)m * (size_t)m + vkd_matrix_exp_frechet_workspace(m);
}

static vkd_status function_forward(const double *M, int m, const double *Rt, int cols, double *Ct,
                                   double *work) {
    double *E = work, *rest = E + (size_t)m * m;
    const vkd_status status = vkd_matrix_exp(M, m, E, rest);
    if (status != VKD_OK) return status;
    if (Rt) {
        vkd_gemm_nt(cols, m, m, 1, Rt, m, E, m, 0, Ct, m);
        return VKD_OK;
    }
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < cols; ++j)
            Ct[(size_t)j * m + i] = E[(size_t)i * m + m - cols + j];
    return VKD_OK;
}

// exp(M)' = exp(M'), so that one call gives the value beside B = L(M', dC R').
static vkd_status function_adjoint(const double *M, int m, const double *Rt, int cols, const double *dCt,
                                   double *Ct, double *B, double *work) {
    const size_t mm = (size_t)m * m;
    double *Mt = work, *Y = Mt + mm, *Et = Y + mm, *rest = Et + mm;
    vkd_transpose(M, m, m, Mt);
    if (Rt) {
        vkd_gemm_tn(m, m, cols, 1, dCt, m, Rt, m, 0, Y, m);
    } else {
        memset(Y, 0, mm * sizeof *Y);
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < cols; ++j)
                Y[(size_t)i * m + m - cols + j] = dCt[(size_t)j * m + i];
    }
    const vkd_status status = vkd_matrix_exp_frechet(Mt, Y, m, Et, B, rest);
    if (status != VKD_OK) return status;
    if (Rt)
        vkd_gemm_nn(cols, m, m, 1, Rt, m, Et, m, 0, Ct, m);
    else
        memcpy(Ct, Et + mm - (size_t)cols * m, (size_t)cols * m * sizeof *Ct);
    return VKD_OK;
}

// The power series beats Pade approximants for small steps: a term [y; x] costs two k x k products.
static vkd_status tangent_step(const double *S, const double *F, double size, double accuracy, int k,
                               double *C1, double *C2, double *scratch) {
    const size_t kk = (size_t)k * k;
    double *y = scratch, *x = y + kk, *newY = x + kk, *newX = newY + kk;
    memset(C1, 0, kk * sizeof *C1);
    memset(C2, 0, kk * sizeof *C2);
    for (int i = 0; i < k; ++i)
        C1[(size_t)i * k + i] = C2[(size_t)i * k + i] = 1; // terms 0 and 1: [0; I] and [I; 0]
    for (size_t i = 0; i < kk; ++i) {                      // term 2: [S; -F]
        y[i] = S[i] / 2;
        x[i] = -F[i] / 2;
    }
    for (int j = 3;; ++j) {
        for (size_t i = 0; i < kk; ++i) {
            C1[i] += y[i];
            C2[i] += x[i];
        }
        if (!(size * cblas_dnrm2(k * k, y, 1) + cblas_dnrm2(k * k, x, 1) > accuracy * sqrt(k)))
            return VKD_OK; // the next is below it
        const double q = 1.0 / j;
        for (size_t i = 0; i < kk; ++i)
            newY[i] = q * x[i];
        vkd_gemm_nn(k, k, k, q, S, k, y, k, 1, newY, k);
        vkd_gemm_nn(k, k, k, -q, F, k, y, k, 0, newX, k);
        double *oldY = y, *oldX = x;
        y = newY, x = newX, newY = oldY, newX = oldX;
    }
}

static const vkd_skew_function function = {function_forward, function_adjoint, function_workspace};
static const vkd_tangent_map tangent = {vkd_skew_coordinates, tangent_step};

static vkd_status forward(const double *P, const double *D, int n, int k, double *V, double *work) {
    return vkd_skew_map_forward(&function, P, D, n, k, V, work);
}

static vkd_status adjoint(const double *P, const double *D, const double *G, int n, int k, double *dD,
                          double *work) {
    return vkd_skew_map_adjoint(&function, P, D, G, n, k, dD, work);
}

static vkd_status square(const double *P, const double *M, int k, double *V, double *work) {
    return vkd_skew_map_square(&function, P, M, k, V, work);
}

static size_t workspace(int n, int k) {
    return vkd_skew_map_workspace(&function, n, k);
}

const vkd_orthogonal_map vkd_map_matrix_exp = {
    .forward = forward, .adjoint = adjoint, .workspace = workspace, .square = square, .tangent = &tangent};
