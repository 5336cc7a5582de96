#include "numerics/normalize.h"

#include <math.h>
#include <stddef.h>

#include "numerics/parallel.h"

// LANES running sums per row vectorise without reassociating. TILE locations at a time keep the
// per-location sums of a layer norm on the stack.
enum { LANES = 8, TILE = 128 };

static double row_sum(const float *x, int n) {
    double lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j)
            lane[j] += x[i + j];
    for (; i < n; ++i)
        sum += x[i];
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

static double row_squares(const float *x, int n, double shift) { // sum of (x - shift)^2
    double lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j)
            lane[j] += (x[i + j] - shift) * (x[i + j] - shift);
    for (; i < n; ++i)
        sum += (x[i] - shift) * (x[i] - shift);
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

static double row_dot(const float *x, const float *y, int n) {
    double lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; ++j)
            lane[j] += (double)x[i + j] * y[i + j];
    for (; i < n; ++i)
        sum += (double)x[i] * y[i];
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

// Two passes: in float64 the rounding of the mean is then far below anything float32 data can show.
static void moments_of_channel(const float *x, int batch, int c, int hw, int channel, double *mean,
                               double *variance) {
    const double count = (double)batch * hw;
    double sum = 0, squares = 0;
    for (int b = 0; b < batch; ++b)
        sum += row_sum(x + ((size_t)b * c + channel) * hw, hw);
    *mean = sum / count;
    for (int b = 0; b < batch; ++b)
        squares += row_squares(x + ((size_t)b * c + channel) * hw, hw, *mean);
    *variance = squares / count;
}

void vkd_channel_moments(const float *x, int batch, int c, int hw, double *mean, double *variance) {
    VKD_PARALLEL_FOR
    for (int i = 0; i < c; ++i)
        moments_of_channel(x, batch, c, hw, i, &mean[i], &variance[i]);
}

void vkd_normalize_apply(const float *x, int batch, int c, int hw, const float *mean, const float *inv_std,
                         float *y) {
    VKD_PARALLEL_FOR
    for (int row = 0; row < batch * c; ++row) {
        const float m = mean[row % c], s = inv_std[row % c];
        const float *in = x + (size_t)row * hw;
        float *out = y + (size_t)row * hw;
        for (int i = 0; i < hw; ++i)
            out[i] = (in[i] - m) * s;
    }
}

void vkd_standardize_forward(const float *x, int batch, int c, int hw, float eps, float *y, float *mean,
                             float *inv_std) {
    VKD_PARALLEL_FOR
    for (int channel = 0; channel < c; ++channel) {
        double m, v;
        moments_of_channel(x, batch, c, hw, channel, &m, &v);
        const float s = (float)(1 / sqrt(v + eps));
        // The mean in two floats: a channel far from zero keeps its digits.
        const float high = (float)m, low = (float)(m - high);
        mean[channel] = high;
        inv_std[channel] = s;
        for (int b = 0; b < batch; ++b) {
            const float *in = x + ((size_t)b * c + channel) * hw;
            float *out = y + ((size_t)b * c + channel) * hw;
            for (int i = 0; i < hw; ++i)
                out[i] = ((in[i] - high) - low) * s;
        }
    }
}

// dx = inv_std (dy - mean(dy) - y mean(dy y)) (Ioffe, Szegedy 2015, section 3); exact with eps > 0,
// because y = (x - mean) inv_std holds with the same inv_std.
void vkd_standardize_backward(const float *dy, const float *y, const float *inv_std, int batch, int c, int hw,
                              float *dx) {
    VKD_PARALLEL_FOR
    for (int channel = 0; channel < c; ++channel) {
        double sum = 0, dot = 0;
        for (int b = 0; b < batch; ++b) {
            const size_t row = ((size_t)b * c + channel) * hw;
            sum += row_sum(dy + row, hw);
            dot += row_dot(dy + row, y + row, hw);
        }
        const double count = (double)batch * hw;
        const float m = (float)(sum / count), p = (float)(dot / count), s = inv_std[channel];
        for (int b = 0; b < batch; ++b) {
            const size_t row = ((size_t)b * c + channel) * hw;
            for (int i = 0; i < hw; ++i)
                dx[row + i] = s * (dy[row + i] - m - y[row + i] * p);
        }
    }
}

static void layernorm_tile(const float *x, int c, int hw, int width, float eps, float *y, float *inv_std) {
    double mean[TILE] = {0}, squares[TILE] = {0};
    float high[TILE], low[TILE];
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < width; ++j)
            mean[j] += x[(size_t)i * hw + j];
    for (int j = 0; j < width; ++j)
        mean[j] /= c;
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < width; ++j) {
            const double d = x[(size_t)i * hw + j] - mean[j];
            squares[j] += d * d;
        }
    for (int j = 0; j < width; ++j) {
        inv_std[j] = (float)(1 / sqrt(squares[j] / c + eps));
        high[j] = (float)mean[j];
        low[j] = (float)(mean[j] - high[j]);
    }
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < width; ++j)
            y[(size_t)i * hw + j] = ((x[(size_t)i * hw + j] - high[j]) - low[j]) * inv_std[j];
}

void vkd_layernorm_forward(const float *x, int batch, int c, int hw, float eps, float *y, float *inv_std) {
    const int tiles = (hw + TILE - 1) / TILE;
    VKD_PARALLEL_FOR
    for (int t = 0; t < batch * tiles; ++t) {
        const int b = t / tiles, begin = t % tiles * TILE;
        const size_t at = (size_t)b * c * hw + begin;
        layernorm_tile(x + at, c, hw, hw - begin < TILE ? hw - begin : TILE, eps, y + at,
                       inv_std + (size_t)b * hw + begin);
    }
}

static void layernorm_tile_backward(const float *dy, const float *y, const float *inv_std, int c, int hw,
                                    int width, float *dx) {
    double sum[TILE] = {0}, dot[TILE] = {0};
    float m[TILE], p[TILE];
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < width; ++j) {
            const size_t at = (size_t)i * hw + j;
            sum[j] += dy[at];
            dot[j] += (double)dy[at] * y[at];
        }
    for (int j = 0; j < width; ++j) {
        m[j] = (float)(sum[j] / c);
        p[j] = (float)(dot[j] / c);
    }
    for (int i = 0; i < c; ++i)
        for (int j = 0; j < width; ++j) {
            const size_t at = (size_t)i * hw + j;
            dx[at] = inv_std[j] * (dy[at] - m[j] - y[at] * p[j]);
        }
}

// dx = inv_std (dy - mean(dy) - y mean(dy y)) per location (Ba, Kiros, Hinton 2016).
void vkd_layernorm_backward(const float *dy, const float *y, const float *inv_std, int batch, int c, int hw,
                            float *dx) {
    const int tiles = (hw + TILE - 1) / TILE;
    VKD_PARALLEL_FOR
    for (int t = 0; t < batch * tiles; ++t) {
        const int b = t / tiles, begin = t % tiles * TILE;
        const size_t at = (size_t)b * c * hw + begin;
        layernorm_tile_backward(dy + at, y + at, inv_std + (size_t)b * hw + begin, c, hw,
                                hw - begin < TILE ? hw - begin : TILE, dx + at);
    }
}
