#include "numerics/resample.h"

#include <stddef.h>
#include <string.h>

#include "numerics/parallel.h"
#include "numerics/resample_place.h"

static void average_plane(const float *x, int w, float *y, int out_h, int out_w, int fh, int fw) {
    const double scale = 1.0 / ((double)fh * fw);
    for (int i = 0; i < out_h; ++i)
        for (int j = 0; j < out_w; ++j) {
            double sum = 0;
            for (int a = 0; a < fh; ++a) {
                const float *row = x + (size_t)(i * fh + a) * w + (size_t)j * fw;
                for (int b = 0; b < fw; ++b)
                    sum += row[b];
            }
            y[(size_t)i * out_w + j] = (float)(sum * scale);
        }
}

static void average_plane_adjoint(const float *dy, int w, float *dx, int out_h, int out_w, int fh, int fw) {
    const float scale = (float)(1.0 / ((double)fh * fw));
    for (int i = 0; i < out_h * fh; ++i)
        for (int j = 0; j < out_w; ++j) {
            const float d = dy[(size_t)(i / fh) * out_w + j] * scale;
            float *row = dx + (size_t)i * w + (size_t)j * fw;
            for (int b = 0; b < fw; ++b)
                row[b] += d;
        }
}

static void bilinear_plane(const float *x, int h, int w, float *y, int out_h, int out_w) {
    for (int i = 0; i < out_h; ++i) {
        const vkd_place v = vkd_resample_place(i, h, out_h);
        const float *low = x + (size_t)v.low * w, *high = x + (size_t)v.high * w;
        for (int j = 0; j < out_w; ++j) {
            const vkd_place u = vkd_resample_place(j, w, out_w);
            const float a = low[u.low] * (1 - u.t) + low[u.high] * u.t;
            const float b = high[u.low] * (1 - u.t) + high[u.high] * u.t;
            y[(size_t)i * out_w + j] = a * (1 - v.t) + b * v.t;
        }
    }
}

static void bilinear_plane_adjoint(const float *dy, int h, int w, float *dx, int out_h, int out_w) {
    for (int i = 0; i < out_h; ++i) {
        const vkd_place v = vkd_resample_place(i, h, out_h);
        float *low = dx + (size_t)v.low * w, *high = dx + (size_t)v.high * w;
        for (int j = 0; j < out_w; ++j) {
            const vkd_place u = vkd_resample_place(j, w, out_w);
            const float d = dy[(size_t)i * out_w + j];
            low[u.low] += d * (1 - v.t) * (1 - u.t);
            low[u.high] += d * (1 - v.t) * u.t;
            high[u.low] += d * v.t * (1 - u.t);
            high[u.high] += d * v.t * u.t;
        }
    }
}

static int valid(int planes, int h, int w, int out_h, int out_w) {
    return planes > 0 && h > 0 && w > 0 && out_h > 0 && out_w > 0;
}

vkd_status vkd_resample(const float *x, int planes, int h, int w, float *y, int out_h, int out_w) {
    if (!valid(planes, h, w, out_h, out_w)) return VKD_INVALID_ARGUMENT;
    const size_t in = (size_t)h * w, out = (size_t)out_h * out_w;
    if (h == out_h && w == out_w) {
        memcpy(y, x, in * planes * sizeof *y);
        return VKD_OK;
    }
    const int average = h % out_h == 0 && w % out_w == 0;
    VKD_PARALLEL_FOR
    for (int p = 0; p < planes; ++p) {
        if (average)
            average_plane(x + p * in, w, y + p * out, out_h, out_w, h / out_h, w / out_w);
        else
            bilinear_plane(x + p * in, h, w, y + p * out, out_h, out_w);
    }
    return VKD_OK;
}

vkd_status vkd_resample_adjoint(const float *dy, int planes, int h, int w, float *dx, int out_h, int out_w) {
    if (!valid(planes, h, w, out_h, out_w)) return VKD_INVALID_ARGUMENT;
    const size_t in = (size_t)h * w, out = (size_t)out_h * out_w;
    const int average = h % out_h == 0 && w % out_w == 0; // a copy is the average over 1 x 1
    VKD_PARALLEL_FOR
    for (int p = 0; p < planes; ++p) {
        if (average)
            average_plane_adjoint(dy + p * out, w, dx + p * in, out_h, out_w, h / out_h, w / out_w);
        else
            bilinear_plane_adjoint(dy + p * out, h, w, dx + p * in, out_h, out_w);
    }
    return VKD_OK;
}
