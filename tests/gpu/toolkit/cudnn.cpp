// cuDNN's convolutions and batch norm by plain loops, as the stream of cuda.cpp comes to them. What cuDNN
// would not take (types that do not go together, shapes that do not fit, a workspace that is too small) is
// refused; a workspace is left full of NaN.
#include "cudnn.h"

#include "numerics/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cudnnTensorStruct { // a filter is (filters,channels,h,w)
    cudnnDataType_t type;
    int n, c, h, w;
};

struct cudnnConvolutionStruct {
    int pad, stride, groups;
    cudnnDataType_t sums;
    cudnnMathType_t math;
};

typedef cudnnTensorStruct tensor;
typedef cudnnConvolutionStruct convolution;

static size_t count_of(const tensor &t) {
    return (size_t)t.n * t.c * t.h * t.w;
}

static float get(const tensor &t, const void *at, size_t i) {
    return t.type == CUDNN_DATA_HALF ? vkd_float_of(((const vkd_half *)at)[i]) : ((const float *)at)[i];
}

static void put(const tensor &t, void *at, size_t i, float x) {
    if (t.type == CUDNN_DATA_HALF)
        ((vkd_half *)at)[i] = vkd_half_of(x);
    else
        ((float *)at)[i] = x;
}

static size_t workspace_of(const tensor &x, const tensor &y) {
    return 4 * (size_t)x.c * y.h * y.w + 12;
}

static bool fit(const tensor &x, const tensor &w, const convolution &how, const tensor &y) {
    return x.n == y.n && x.c == w.c * how.groups && w.n == y.c && w.n % how.groups == 0 &&
           y.h == (x.h + 2 * how.pad - w.h) / how.stride + 1 &&
           y.w == (x.w + 2 * how.pad - w.w) / how.stride + 1 && x.type == w.type && w.type == y.type &&
           how.sums == CUDNN_DATA_FLOAT;
}

// do_it(place in x, in w, in y) for each product of a convolution.
template <class F>
static void each_product(const tensor &x, const tensor &w, const convolution &how, const tensor &y, F do_it) {
    const int filters = w.n / how.groups;
    for (int b = 0; b < y.n; ++b)
        for (int f = 0; f < y.c; ++f)
            for (int i = 0; i < y.h * y.w; ++i)
                for (int c = 0; c < w.c; ++c)
                    for (int k = 0; k < w.h * w.w; ++k) {
                        const int at_y = i / y.w * how.stride - how.pad + k / w.w,
                                  at_x = i % y.w * how.stride - how.pad + k % w.w;
                        if (at_y < 0 || at_y >= x.h || at_x < 0 || at_x >= x.w) continue;
                        const size_t channel = (size_t)b * x.c + f / filters * w.c + c;
                        do_it((channel * x.h + at_y) * x.w + at_x, ((size_t)f * w.c + c) * w.h * w.w + k,
                              ((size_t)b * y.c + f) * y.h * y.w + i);
                    }
}

static float number(const void *at) {
    return *(const float *)at;
}

// to = by * sums + keep * to; what is overwritten is not read.
static void store(const tensor &is, void *to, const float *sums, float by, float keep) {
    for (size_t i = 0; i < count_of(is); ++i)
        put(is, to, i, by * sums[i] + (keep == 0 ? 0 : keep * get(is, to, i)));
}

// Of the three, the two that are read and the one that is written.
template <class F>
static cudnnStatus_t convolve(const tensor *x, const tensor *w, const convolution *how, const tensor *y,
                              const tensor *to_is, void *to, void *workspace, size_t bytes, const void *alpha,
                              const void *beta, F product) {
    if (!fit(*x, *w, *how, *y) || bytes < workspace_of(*x, *y) || !workspace) return CUDNN_STATUS_BAD_PARAM;
    const float by = number(alpha), keep = number(beta);
    const tensor x_was = *x, w_was = *w, y_was = *y, to_was = *to_is;
    const convolution how_was = *how;
    cpu_enqueue(nullptr, [=] {
        memset(workspace, 0xff, bytes);
        float *sums = (float *)calloc(count_of(to_was), sizeof *sums);
        each_product(x_was, w_was, how_was, y_was,
                     [&](size_t in_x, size_t in_w, size_t in_y) { product(sums, x_was, in_x, in_w, in_y); });
        store(to_was, to, sums, by, keep);
        free(sums);
    });
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t propose(const tensor *x, const tensor *w, const convolution *how, const tensor *y,
                             int *count, cudnnProposal *found) {
    if (!fit(*x, *w, *how, *y)) return CUDNN_STATUS_BAD_PARAM;
    *count = 2;
    found[0] = {7, CUDNN_STATUS_BAD_PARAM, -1, 0, 0, CUDNN_DEFAULT_MATH}; // as cuDNN tells what it cannot do
    found[1] = {1, CUDNN_STATUS_SUCCESS, 1, workspace_of(*x, *y), 1, how->math};
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t tell_workspace(const tensor *x, const tensor *w, const convolution *how, const tensor *y,
                                    int algorithm, size_t *bytes) {
    if (!fit(*x, *w, *how, *y) || algorithm != 1) return CUDNN_STATUS_BAD_PARAM;
    *bytes = workspace_of(*x, *y);
    return CUDNN_STATUS_SUCCESS;
}

// do_it(place) for each value of a channel.
template <class F> static void each_of_channel(const tensor &t, int c, F do_it) {
    const size_t plane = (size_t)t.h * t.w;
    for (int b = 0; b < t.n; ++b)
        for (size_t i = 0; i < plane; ++i)
            do_it(((size_t)b * t.c + c) * plane + i);
}

static bool is_batch_norm(const tensor *x, const tensor *y, const tensor *of_channels) {
    return x->type == CUDNN_DATA_FLOAT && !memcmp(x, y, sizeof *x) && of_channels->c == x->c &&
           count_of(*of_channels) == (size_t)x->c;
}

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    *handle = nullptr;
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t) {
    return "a bad parameter";
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t) {
    *t = new tensor();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *t) {
    return cudnnCreateTensorDescriptor(t);
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *how) {
    *how = new convolution();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t, cudnnDataType_t type,
                                         int n, int c, int h, int w) {
    *t = {type, n, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t t, cudnnDataType_t type, cudnnTensorFormat_t,
                                         int n, int c, int h, int w) {
    *t = {type, n, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t how, int pad, int, int stride, int,
                                              int, int, cudnnConvolutionMode_t, cudnnDataType_t sums) {
    *how = {pad, stride, 1, sums, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t how, int groups) {
    how->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t how, cudnnMathType_t math) {
    how->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t how,
                                                     cudnnTensorDescriptor_t y, int, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *found) {
    return propose(x, w, how, y, count, found);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                          cudnnTensorDescriptor_t dy,
                                                          cudnnConvolutionDescriptor_t how,
                                                          cudnnTensorDescriptor_t dx, int, int *count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *found) {
    return propose(dx, w, how, dy, count, found);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                            cudnnTensorDescriptor_t dy,
                                                            cudnnConvolutionDescriptor_t how,
                                                            cudnnFilterDescriptor_t dw, int, int *count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *found) {
    return propose(x, dw, how, dy, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t how,
                                                      cudnnTensorDescriptor_t y, int algorithm,
                                                      size_t *bytes) {
    return tell_workspace(x, w, how, y, algorithm, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t dy,
                                                           cudnnConvolutionDescriptor_t how,
                                                           cudnnTensorDescriptor_t dx, int algorithm,
                                                           size_t *bytes) {
    return tell_workspace(dx, w, how, dy, algorithm, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                             cudnnTensorDescriptor_t dy,
                                                             cudnnConvolutionDescriptor_t how,
                                                             cudnnFilterDescriptor_t dw, int algorithm,
                                                             size_t *bytes) {
    return tell_workspace(x, dw, how, dy, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void *alpha, cudnnTensorDescriptor_t x_is,
                                      const void *x, cudnnFilterDescriptor_t w_is, const void *w,
                                      cudnnConvolutionDescriptor_t how, int, void *workspace, size_t bytes,
                                      const void *beta, cudnnTensorDescriptor_t y_is, void *y) {
    return convolve(x_is, w_is, how, y_is, y_is, y, workspace, bytes, alpha, beta,
                    [=](float *sums, const tensor &t, size_t in_x, size_t in_w, size_t in_y) {
                        sums[in_y] += get(t, x, in_x) * get(t, w, in_w);
                    });
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t, const void *alpha, cudnnFilterDescriptor_t w_is,
                                           const void *w, cudnnTensorDescriptor_t dy_is, const void *dy,
                                           cudnnConvolutionDescriptor_t how, int, void *workspace,
                                           size_t bytes, const void *beta, cudnnTensorDescriptor_t dx_is,
                                           void *dx) {
    return convolve(dx_is, w_is, how, dy_is, dx_is, dx, workspace, bytes, alpha, beta,
                    [=](float *sums, const tensor &t, size_t in_x, size_t in_w, size_t in_y) {
                        sums[in_x] += get(t, dy, in_y) * get(t, w, in_w);
                    });
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t, const void *alpha, cudnnTensorDescriptor_t x_is,
                                             const void *x, cudnnTensorDescriptor_t dy_is, const void *dy,
                                             cudnnConvolutionDescriptor_t how, int, void *workspace,
                                             size_t bytes, const void *beta, cudnnFilterDescriptor_t dw_is,
                                             void *dw) {
    return convolve(x_is, dw_is, how, dy_is, dw_is, dw, workspace, bytes, alpha, beta,
                    [=](float *sums, const tensor &t, size_t in_x, size_t in_w, size_t in_y) {
                        sums[in_w] += get(t, x, in_x) * get(t, dy, in_y);
                    });
}

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t, cudnnBatchNormMode_t, const void *, const void *, cudnnTensorDescriptor_t x_is,
    const void *x_at, cudnnTensorDescriptor_t y_is, void *y_at, cudnnTensorDescriptor_t of_channels,
    const void *scale_at, const void *bias_at, double average, void *running_mean_at,
    void *running_variance_at, double eps, void *mean_at, void *inv_std_at) {
    if (!is_batch_norm(x_is, y_is, of_channels)) return CUDNN_STATUS_BAD_PARAM;
    const tensor t = *x_is;
    const float *x = (const float *)x_at, *scale = (const float *)scale_at, *bias = (const float *)bias_at;
    float *y = (float *)y_at, *mean = (float *)mean_at, *inv_std = (float *)inv_std_at;
    float *running_mean = (float *)running_mean_at, *running_variance = (float *)running_variance_at;
    cpu_enqueue(nullptr, [=] {
        const double count = (double)t.n * t.h * t.w;
        for (int c = 0; c < t.c; ++c) {
            double sum = 0, square = 0;
            each_of_channel(t, c, [&](size_t i) { sum += x[i]; });
            each_of_channel(t, c, [&](size_t i) { square += (x[i] - sum / count) * (x[i] - sum / count); });
            mean[c] = (float)(sum / count);
            inv_std[c] = (float)(1 / sqrt(square / count + eps));
            running_mean[c] = (float)((1 - average) * running_mean[c] + average * mean[c]);
            running_variance[c] =
                (float)((1 - average) * running_variance[c] + average * square / (count > 1 ? count - 1 : 1));
            each_of_channel(t, c,
                            [&](size_t i) { y[i] = scale[c] * (x[i] - mean[c]) * inv_std[c] + bias[c]; });
        }
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationBackward(cudnnHandle_t, cudnnBatchNormMode_t, const void *, const void *,
                                              const void *, const void *, cudnnTensorDescriptor_t x_is,
                                              const void *x_at, cudnnTensorDescriptor_t dy_is,
                                              const void *dy_at, cudnnTensorDescriptor_t dx_is, void *dx_at,
                                              cudnnTensorDescriptor_t of_channels, const void *scale_at,
                                              void *dscale_at, void *dbias_at, double, const void *mean_at,
                                              const void *inv_std_at) {
    if (!is_batch_norm(x_is, dy_is, of_channels) || !is_batch_norm(x_is, dx_is, of_channels))
        return CUDNN_STATUS_BAD_PARAM;
    const tensor t = *x_is;
    const float *x = (const float *)x_at, *dy = (const float *)dy_at, *scale = (const float *)scale_at;
    const float *mean = (const float *)mean_at, *inv_std = (const float *)inv_std_at;
    float *dx = (float *)dx_at, *dscale = (float *)dscale_at, *dbias = (float *)dbias_at;
    cpu_enqueue(nullptr, [=] {
        const double count = (double)t.n * t.h * t.w;
        for (int c = 0; c < t.c; ++c) {
            double sum = 0, dot = 0;
            each_of_channel(t, c, [&](size_t i) {
                sum += dy[i];
                dot += dy[i] * (x[i] - mean[c]) * inv_std[c];
            });
            dbias[c] += (float)sum;
            dscale[c] += (float)dot;
            each_of_channel(t, c, [&](size_t i) {
                const double at = (x[i] - mean[c]) * inv_std[c];
                dx[i] = (float)(scale[c] * inv_std[c] * (dy[i] - sum / count - at * dot / count));
            });
        }
    });
    return CUDNN_STATUS_SUCCESS;
}
}
