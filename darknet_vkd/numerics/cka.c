#include "numerics/cka.h"

#include <cblas.h>
#include <math.h>
#include <stddef.h>

void vkd_cka_gram(float *x, int n, int c, float *K) {
    for (int j = 0; j < c; ++j) {
        double sum = 0;
        for (int i = 0; i < n; ++i)
            sum += x[(size_t)i * (size_t)c + (size_t)j];
        float mean = (float)(sum / n);
        for (int i = 0; i < n; ++i)
            x[(size_t)i * (size_t)c + (size_t)j] -= mean;
    }
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, n, c, 1, x, c, 0, K, n);
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j < i; ++j)
            K[(size_t)j * (size_t)n + (size_t)i] = K[(size_t)i * (size_t)n + (size_t)j];
        K[(size_t)i * (size_t)n + (size_t)i] = 0;
    }
}

double vkd_hsic(const float *K, const float *L, int n) {
    double trace = 0, all_k = 0, all_l = 0, cross = 0;
    for (int i = 0; i < n; ++i) {
        const float *k = K + (size_t)i * (size_t)n, *l = L + (size_t)i * (size_t)n;
        double row_k = 0, row_l = 0;
        for (int j = 0; j < n; ++j) {
            trace += (double)k[j] * l[j]; // tr(K L) of symmetric K and L
            row_k += k[j];
            row_l += l[j];
        }
        all_k += row_k;
        all_l += row_l;
        cross += row_k * row_l; // 1'K L 1
    }
    double m = n;
    return (trace + all_k * all_l / ((m - 1) * (m - 2)) - 2 * cross / (m - 2)) / (m * (m - 3));
}

double vkd_cka(double sum_kl, double sum_kk, double sum_ll) {
    double scale = sqrt(sum_kk) * sqrt(sum_ll);
    return sum_kk > 0 && sum_ll > 0 && scale > 0 ? sum_kl / scale : 0;
}
