#include "numerics/loss.h"

#include <math.h>

#include "numerics/parallel.h"

// A fixed partition, added up in order: the sum does not depend on the threads. Eight lanes per
// part let the compiler vectorise without reassociating.
enum { PARTS = 64, LANES = 8 };

static double smooth_l1(double e) {
    const double a = fabs(e);
    return a < 1 ? e * e / 2 : a - 0.5;
}

static double l2_part(const float *p, const float *t, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j) {
            const double e = (double)p[i + j] - t[i + j];
            lane[j] += e * e;
        }
    for (; i < n; ++i) {
        const double e = (double)p[i] - t[i];
        sum += e * e;
    }
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

static double smooth_l1_part(const float *p, const float *t, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j)
            lane[j] += smooth_l1((double)p[i + j] - t[i + j]);
    for (; i < n; ++i)
        sum += smooth_l1((double)p[i] - t[i]);
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

static double sum_parts(const float *p, const float *t, size_t n,
                        double (*part)(const float *, const float *, size_t)) {
    const size_t size = (n + PARTS - 1) / PARTS;
    double sums[PARTS] = {0}, sum = 0;
    VKD_PARALLEL_FOR
    for (int i = 0; i < PARTS; ++i) {
        const size_t begin = i * size;
        if (begin < n) sums[i] = part(p + begin, t + begin, n - begin < size ? n - begin : size);
    }
    for (int i = 0; i < PARTS; ++i)
        sum += sums[i];
    return sum;
}

double vkd_l2_forward(const float *prediction, const float *target, size_t n) {
    return sum_parts(prediction, target, n, l2_part);
}

void vkd_l2_backward(const float *prediction, const float *target, size_t n, float scale, float *d) {
    const float twice = 2 * scale;
    VKD_PARALLEL_FOR
    for (size_t i = 0; i < n; ++i)
        d[i] = twice * (prediction[i] - target[i]);
}

double vkd_smooth_l1_forward(const float *prediction, const float *target, size_t n) {
    return sum_parts(prediction, target, n, smooth_l1_part);
}

void vkd_smooth_l1_backward(const float *prediction, const float *target, size_t n, float scale, float *d) {
    VKD_PARALLEL_FOR
    for (size_t i = 0; i < n; ++i) {
        const float e = prediction[i] - target[i];
        d[i] = scale * (e < -1 ? -1 : e > 1 ? 1 : e);
    }
}
