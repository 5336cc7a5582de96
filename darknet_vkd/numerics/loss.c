#include "numerics/loss.h"

#include <math.h>

#include "numerics/parallel.h"
#include "numerics/reduce.h"

enum { LANES = 8 };

static double smooth_l1(double e) {
    const double a = fabs(e);
    return a < 1 ? e * e / 2 : a - 0.5;
}

static double l2_row(const float *p, const float *t, const float *weight, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j) {
            const double e = (double)p[i + j] - t[i + j];
            lane[j] += (weight ? weight[i + j] : 1.0) * e * e;
        }
    for (; i < n; ++i) {
        const double e = (double)p[i] - t[i];
        sum += (weight ? weight[i] : 1.0) * e * e;
    }
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

static double smooth_l1_row(const float *p, const float *t, const float *weight, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j)
            lane[j] += (weight ? weight[i + j] : 1.0) * smooth_l1((double)p[i + j] - t[i + j]);
    for (; i < n; ++i)
        sum += (weight ? weight[i] : 1.0) * smooth_l1((double)p[i] - t[i]);
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

double vkd_l2_forward(const float *prediction, const float *target, const float *weight, size_t rows,
                      size_t cols) {
    return vkd_reduce(l2_row, prediction, target, weight, rows, cols);
}

void vkd_l2_backward(const float *prediction, const float *target, const float *weight, size_t rows,
                     size_t cols, float scale, float *d) {
    const float twice = 2 * scale;
    VKD_PARALLEL_FOR
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < cols; ++j) {
            const size_t at = i * cols + j;
            d[at] = (weight ? twice * weight[j] : twice) * (prediction[at] - target[at]);
        }
}

double vkd_smooth_l1_forward(const float *prediction, const float *target, const float *weight, size_t rows,
                             size_t cols) {
    return vkd_reduce(smooth_l1_row, prediction, target, weight, rows, cols);
}

void vkd_smooth_l1_backward(const float *prediction, const float *target, const float *weight, size_t rows,
                            size_t cols, float scale, float *d) {
    VKD_PARALLEL_FOR
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < cols; ++j) {
            const size_t at = i * cols + j;
            const float e = prediction[at] - target[at];
            d[at] = (weight ? scale * weight[j] : scale) * (e < -1 ? -1 : e > 1 ? 1 : e);
        }
}
