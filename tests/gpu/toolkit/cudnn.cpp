// cuDNN's convolutions and batch norm by plain loops, as the stream of cuda.cpp comes to them. What cuDNN
// would not take (types that do not go together, shapes that do not fit, a workspace that is too small) is
// refused; a workspace is left full of NaN.
#include "cudnn.h"

#include "numerics/half.h"

#include <atomic>
#include <math.h>
#include <string.h>
#include <vector>

struct cudnnDescriptor {
    cudnnDataType_t type; // of a convolution: of its sums
    int n, c, h, w;       // a filter is (filters,channels,h,w)
    int pad, stride, groups;
    cudnnMathType_t math;
};

typedef cudnnDescriptor tensor;

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

// ---- convolutions
// ---------------------------------------------------------------------------------------------

// The three tensors of a convolution, y = w * x, and which of them a pass reads, reads and makes.
enum { X, W, Y };
struct pass {
    int a, b, c;
};
static const pass Forward = {X, W, Y}, BackwardData = {W, Y, X}, BackwardFilter = {X, Y, W};

struct convolution {
    pass p;
    tensor is[3], how;
    convolution(pass p_, cudnn_is a, cudnn_is b, cudnn_is how_, cudnn_is c) : p(p_), how(*how_) {
        is[p.a] = *a, is[p.b] = *b, is[p.c] = *c;
    }
    bool fits() const {
        const tensor &x = is[X], &w = is[W], &y = is[Y];
        return x.n == y.n && x.c == w.c * how.groups && w.n == y.c && w.n % how.groups == 0 &&
               y.h == (x.h + 2 * how.pad - w.h) / how.stride + 1 &&
               y.w == (x.w + 2 * how.pad - w.w) / how.stride + 1 && x.type == w.type && w.type == y.type &&
               how.type == CUDNN_DATA_FLOAT;
    }
    // One picture is convolved in another way than several, which takes more.
    size_t workspace() const {
        return (is[X].n == 1 ? 8 : 4) * (size_t)is[X].c * is[Y].h * is[Y].w + 12;
    }
    // do_it(places in x, w and y) for each product.
    template <class F> void each_product(F do_it) const {
        const tensor &x = is[X], &w = is[W], &y = is[Y];
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
                            const size_t places[] = {(channel * x.h + at_y) * x.w + at_x,
                                                     ((size_t)f * w.c + c) * w.h * w.w + k,
                                                     ((size_t)b * y.c + f) * y.h * y.w + i};
                            do_it(places);
                        }
    }
    // to = by * a b + keep * to; what is overwritten is not read.
    void run(const void *a, const void *b, void *to, float by, float keep) const {
        std::vector<float> sums(count_of(is[p.c]));
        each_product(
            [&](const size_t *at) { sums[at[p.c]] += get(is[p.a], a, at[p.a]) * get(is[p.b], b, at[p.b]); });
        for (size_t i = 0; i < sums.size(); ++i)
            put(is[p.c], to, i, by * sums[i] + (keep == 0 ? 0 : keep * get(is[p.c], to, i)));
    }
};

// One that gives other bits at every run, one that wants a math type of its own in force, and one for
// everybody.
enum { CANNOT = 7, VARIES = 2, OF_FMA = 3, PLAIN = 1 };

static cudnnStatus_t propose(const convolution &one, int *count, cudnnProposal *found) {
    if (!one.fits()) return CUDNN_STATUS_BAD_PARAM;
    *count = 4; // the fastest first
    found[0] = {CANNOT, CUDNN_STATUS_BAD_PARAM, -1, 0, CUDNN_NON_DETERMINISTIC, CUDNN_DEFAULT_MATH};
    found[1] = {VARIES, CUDNN_STATUS_SUCCESS, 1, one.workspace(), CUDNN_NON_DETERMINISTIC, one.how.math};
    found[2] = {OF_FMA, CUDNN_STATUS_SUCCESS, 2, one.workspace(), CUDNN_DETERMINISTIC, CUDNN_FMA_MATH};
    found[3] = {PLAIN, CUDNN_STATUS_SUCCESS, 3, one.workspace(), CUDNN_DETERMINISTIC, one.how.math};
    return CUDNN_STATUS_SUCCESS;
}

static bool can(const convolution &one, int algorithm) {
    return one.fits() && (algorithm == PLAIN || algorithm == VARIES ||
                          (algorithm == OF_FMA && one.how.math == CUDNN_FMA_MATH));
}

static cudnnStatus_t tell_workspace(const convolution &one, int algorithm, size_t *bytes) {
    if (!can(one, algorithm)) return CUDNN_STATUS_BAD_PARAM;
    *bytes = one.workspace();
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t convolve(const convolution &one, int algorithm, const void *a, const void *b, void *c,
                              void *workspace, size_t bytes, const void *alpha, const void *beta) {
    if (!can(one, algorithm) || bytes < one.workspace() || !workspace) return CUDNN_STATUS_BAD_PARAM;
    static std::atomic<int> calls;
    const float by = *(const float *)alpha * (algorithm == VARIES ? 1 + 1e-6f * (float)(++calls % 7) : 1);
    const float keep = *(const float *)beta;
    cpu_enqueue(nullptr, [=] {
        memset(workspace, 0xff, bytes);
        one.run(a, b, c, by, keep);
    });
    return CUDNN_STATUS_SUCCESS;
}

#define PASS(name)                                                                                           \
    cudnnStatus_t cudnnGetConvolution##name##Algorithm_v7(cudnnHandle_t, cudnn_is a, cudnn_is b,             \
                                                          cudnn_is how, cudnn_is c, int, int *count,         \
                                                          cudnnProposal *found) {                            \
        return propose(convolution(name, a, b, how, c), count, found);                                       \
    }                                                                                                        \
    cudnnStatus_t cudnnGetConvolution##name##WorkspaceSize(                                                  \
        cudnnHandle_t, cudnn_is a, cudnn_is b, cudnn_is how, cudnn_is c, int algorithm, size_t *bytes) {     \
        return tell_workspace(convolution(name, a, b, how, c), algorithm, bytes);                            \
    }                                                                                                        \
    cudnnStatus_t cudnnConvolution##name(cudnnHandle_t, const void *alpha, cudnn_is a_is, const void *a,     \
                                         cudnn_is b_is, const void *b, cudnn_is how, int algorithm,          \
                                         void *workspace, size_t bytes, const void *beta, cudnn_is c_is,     \
                                         void *c) {                                                          \
        return convolve(convolution(name, a_is, b_is, how, c_is), algorithm, a, b, c, workspace, bytes,      \
                        alpha, beta);                                                                        \
    }

PASS(Forward)
PASS(BackwardData)
PASS(BackwardFilter)

// ---- descriptors
// ----------------------------------------------------------------------------------------------

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    *handle = nullptr;
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t) {
    return "a bad parameter";
}

#define CREATE(kind)                                                                                         \
    cudnnStatus_t cudnnCreate##kind##Descriptor(cudnn_is *made) {                                            \
        *made = new cudnnDescriptor();                                                                       \
        return CUDNN_STATUS_SUCCESS;                                                                         \
    }
CREATE(Tensor)
CREATE(Filter)
CREATE(Convolution)

static cudnnStatus_t set(cudnn_is is, const cudnnDescriptor &what) {
    *is = what;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnn_is t, cudnnTensorFormat_t, cudnnDataType_t type, int n, int c,
                                         int h, int w) {
    return set(t, {type, n, c, h, w, 0, 0, 0, CUDNN_DEFAULT_MATH});
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnn_is t, cudnnDataType_t type, cudnnTensorFormat_t format, int n,
                                         int c, int h, int w) {
    return cudnnSetTensor4dDescriptor(t, format, type, n, c, h, w);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnn_is how, int pad, int, int stride, int, int, int,
                                              cudnnConvolutionMode_t, cudnnDataType_t sums) {
    return set(how, {sums, 0, 0, 0, 0, pad, stride, 1, CUDNN_DEFAULT_MATH});
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnn_is how, int groups) {
    how->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnn_is how, cudnnMathType_t math) {
    how->math = math;
    return CUDNN_STATUS_SUCCESS;
}

// ---- batch norm
// -----------------------------------------------------------------------------------------------

// one(channel, places, count) when the stream comes to it, for all the places of each channel.
template <class F>
static cudnnStatus_t each_channel(const tensor *x, const tensor *y, const tensor *of_channels, F one) {
    const tensor t = *x;
    if (t.type != CUDNN_DATA_FLOAT || memcmp(x, y, sizeof *x) || of_channels->c != t.c ||
        count_of(*of_channels) != (size_t)t.c)
        return CUDNN_STATUS_BAD_PARAM;
    cpu_enqueue(nullptr, [=] {
        const size_t plane = (size_t)t.h * t.w;
        std::vector<size_t> places;
        for (int c = 0; c < t.c; ++c) {
            places.clear();
            for (size_t i = 0; i < t.n * plane; ++i)
                places.push_back((i / plane * t.c + c) * plane + i % plane);
            one(c, places, (double)places.size());
        }
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTraining(cudnnHandle_t, cudnnBatchNormMode_t, const void *,
                                                     const void *, cudnn_is x_is, const void *x_at,
                                                     cudnn_is y_is, void *y_at, cudnn_is of_channels,
                                                     const void *scale_at, const void *bias_at,
                                                     double average, void *running_mean_at,
                                                     void *running_variance_at, double eps, void *mean_at,
                                                     void *inv_std_at) {
    const float *x = (const float *)x_at, *scale = (const float *)scale_at, *bias = (const float *)bias_at;
    float *y = (float *)y_at, *mean = (float *)mean_at, *inv_std = (float *)inv_std_at;
    float *running_mean = (float *)running_mean_at, *running_variance = (float *)running_variance_at;
    return each_channel(x_is, y_is, of_channels, [=](int c, const std::vector<size_t> &places, double count) {
        double sum = 0, square = 0;
        for (size_t i : places)
            sum += x[i];
        for (size_t i : places)
            square += (x[i] - sum / count) * (x[i] - sum / count);
        mean[c] = (float)(sum / count);
        inv_std[c] = (float)(1 / sqrt(square / count + eps));
        running_mean[c] = (float)((1 - average) * running_mean[c] + average * mean[c]);
        running_variance[c] =
            (float)((1 - average) * running_variance[c] + average * square / (count > 1 ? count - 1 : 1));
        for (size_t i : places)
            y[i] = scale[c] * (x[i] - mean[c]) * inv_std[c] + bias[c];
    });
}

cudnnStatus_t cudnnBatchNormalizationBackward(cudnnHandle_t, cudnnBatchNormMode_t, const void *, const void *,
                                              const void *, const void *, cudnn_is x_is, const void *x_at,
                                              cudnn_is dy_is, const void *dy_at, cudnn_is dx_is, void *dx_at,
                                              cudnn_is of_channels, const void *scale_at, void *dscale_at,
                                              void *dbias_at, double, const void *mean_at,
                                              const void *inv_std_at) {
    if (memcmp(x_is, dx_is, sizeof *x_is)) return CUDNN_STATUS_BAD_PARAM;
    const float *x = (const float *)x_at, *dy = (const float *)dy_at, *scale = (const float *)scale_at;
    const float *mean = (const float *)mean_at, *inv_std = (const float *)inv_std_at;
    float *dx = (float *)dx_at, *dscale = (float *)dscale_at, *dbias = (float *)dbias_at;
    return each_channel(
        x_is, dy_is, of_channels, [=](int c, const std::vector<size_t> &places, double count) {
            double sum = 0, dot = 0;
            const auto at = [=](size_t i) { return (x[i] - mean[c]) * inv_std[c]; };
            for (size_t i : places) {
                sum += dy[i];
                dot += dy[i] * at(i);
            }
            dbias[c] += (float)sum;
            dscale[c] += (float)dot;
            for (size_t i : places)
                dx[i] = (float)(scale[c] * inv_std[c] * (dy[i] - sum / count - at(i) * dot / count));
        });
}
