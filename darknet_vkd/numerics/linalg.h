// Row-major float64 products through CBLAS, and moves between float32 storage and float64 work.
#ifndef VKD_NUMERICS_LINALG_H
#define VKD_NUMERICS_LINALG_H

#include <cblas.h>
#include <math.h>
#include <stddef.h>

#include "numerics/parallel.h"

// C (m,n) = alpha A (m,l) B (l,n) + beta C; ld* are row strides.
static inline void vkd_gemm_nn(int m, int n, int l, double alpha, const double *A, int lda, const double *B,
                               int ldb, double beta, double *C, int ldc) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, l, alpha, A, lda, B, ldb, beta, C, ldc);
}

// C (m,n) = alpha A' B + beta C, with A (l,m), B (l,n).
static inline void vkd_gemm_tn(int m, int n, int l, double alpha, const double *A, int lda, const double *B,
                               int ldb, double beta, double *C, int ldc) {
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, l, alpha, A, lda, B, ldb, beta, C, ldc);
}

// C (m,n) = alpha A B' + beta C, with A (m,l), B (n,l).
static inline void vkd_gemm_nt(int m, int n, int l, double alpha, const double *A, int lda, const double *B,
                               int ldb, double beta, double *C, int ldc) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, l, alpha, A, lda, B, ldb, beta, C, ldc);
}

// Transposing walks in blocks of one cache line's width: rows of a power of two share their place in the
// cache.
enum { VKD_LINE = 8 };

// The upper triangle of C (m,m) = the lower one.
static inline void vkd_mirror(double *C, int m) {
    for (int i0 = 0; i0 < m; i0 += VKD_LINE)
        for (int j0 = 0; j0 <= i0; j0 += VKD_LINE)
            for (int i = i0; i < m && i < i0 + VKD_LINE; ++i)
                for (int j = j0; j < i && j < j0 + VKD_LINE; ++j)
                    C[(size_t)j * m + i] = C[(size_t)i * m + j];
}

// C (m,m) = A'A for A (l,m), both triangles; half the work of a product.
static inline void vkd_gram(int m, int l, const double *A, int lda, double *C) {
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, m, l, 1, A, lda, 0, C, m);
    vkd_mirror(C, m);
}

// y (cols,rows) = x', x (rows,cols).
static inline void vkd_transpose(const double *x, int rows, int cols, double *y) {
    for (int i0 = 0; i0 < rows; i0 += VKD_LINE)
        for (int j0 = 0; j0 < cols; j0 += VKD_LINE)
            for (int i = i0; i < rows && i < i0 + VKD_LINE; ++i)
                for (int j = j0; j < cols && j < j0 + VKD_LINE; ++j)
                    y[(size_t)j * rows + i] = x[(size_t)i * cols + j];
}

// S (k,k) <- scale * (S - S') / 2
static inline void vkd_skew_part(double *S, int k, double scale) {
    for (int i0 = 0; i0 < k; i0 += VKD_LINE)
        for (int j0 = 0; j0 <= i0; j0 += VKD_LINE)
            for (int i = i0; i < k && i < i0 + VKD_LINE; ++i)
                for (int j = j0; j <= i && j < j0 + VKD_LINE; ++j) {
                    const double s = scale * (S[(size_t)i * k + j] - S[(size_t)j * k + i]) / 2;
                    S[(size_t)i * k + j] = s;
                    S[(size_t)j * k + i] = -s;
                }
}

// Y (k,k) <- Y + sign Y', sign = 1 or -1, in blocks as in vkd_transpose.
static inline void vkd_add_transpose(float *Y, int k, float sign) {
    enum { BLOCK = 2 * VKD_LINE };
    for (int i0 = 0; i0 < k; i0 += BLOCK)
        for (int j0 = 0; j0 <= i0; j0 += BLOCK)
            for (int i = i0; i < k && i < i0 + BLOCK; ++i)
                for (int j = j0; j <= i && j < j0 + BLOCK; ++j) {
                    const float s = Y[(size_t)i * k + j] + sign * Y[(size_t)j * k + i];
                    Y[(size_t)i * k + j] = s;
                    Y[(size_t)j * k + i] = sign * s;
                }
}

// The largest row sum of |A|, A (m,m): the infinity norm. A NaN in any row stays one.
static inline double vkd_largest_row(const double *A, int m) {
    double largest = 0;
    for (int i = 0; i < m; ++i) {
        double sum = 0;
        for (int j = 0; j < m; ++j)
            sum += fabs(A[(size_t)i * m + j]);
        if (sum > largest || sum != sum) largest = sum;
    }
    return largest;
}

// y (rows,cols) = x with row strides ldy, ldx.
static inline void vkd_widen(const float *x, int ldx, int rows, int cols, double *y, int ldy) {
    VKD_PARALLEL_FOR_VALUES((size_t)rows * (size_t)cols)
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < cols; ++j)
            y[(size_t)i * ldy + j] = x[(size_t)i * ldx + j];
}

static inline void vkd_narrow(const double *x, size_t n, float *y) {
    VKD_PARALLEL_FOR_VALUES(n)
    for (size_t i = 0; i < n; ++i)
        y[i] = (float)x[i];
}

#endif
