// teacher_half=1: the convolutions of a frozen teacher in half precision. Weights, input and output of each
// are halves, sums are float32. Only convolutions are: a layer takes float32 and leaves it, and bias and
// activation come to its output in float32.
//
// On a GPU cuDNN makes them. On the CPU the same values are rounded between layers of float32, which saves no
// time: it shows there what half precision does to a training.
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/finite.h"
#include "numerics/half.h"
#include "numerics/parallel.h"

#include "activations.h"
#include "convolutional_layer.h"
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

// Of weights with batch norm folded in.
static void round_weights(layer *l, int i, const char *weights_path) {
    for (int j = 0; j < l->nweights; ++j) {
        const float half = vkd_nearest_half(l->weights[j]);
        if (!vkd_is_finite_float(half))
            vkd_fail("%s: layer %d (convolutional): found a weight of %g; expected at most %g, where half "
                     "precision ends",
                     weights_path, i, l->weights[j], VKD_HALF_LARGEST);
        l->weights[j] = half;
    }
}

// ---- on the CPU ----
//
//     workspace of a layer    the convolution's own | its input, rounded | zeros in place of its biases

size_t vkd_half_room(const layer *l) {
    return vkd_is_rounded(l) ? (size_t)l->inputs * (size_t)l->batch + (size_t)l->n : 0;
}

static void convolve_rounded(layer l, network net) {
    const size_t inputs = (size_t)l.inputs * (size_t)l.batch;
    float *x = net.workspace + vkd_teacher_workspace(&l) - vkd_half_room(&l);
    layer sums = l;
    sums.biases = x + inputs;
    sums.activation = LINEAR;
    memset(sums.biases, 0, (size_t)l.n * sizeof(float));
    VKD_PARALLEL_FOR_VALUES(inputs)
    for (size_t i = 0; i < inputs; ++i)
        x[i] = vkd_nearest_half(net.input[i]);
    net.input = x;

    const vkd_convolution s = vkd_convolution_of(&l);
    const vkd_ending none = {0};
    if (!vkd_convolution_forward(&s, l.weights, x, l.batch, l.output, &none, net.workspace))
        forward_convolutional_layer(sums, net);

    const int rows = l.batch * l.n, locations = l.out_w * l.out_h;
    VKD_PARALLEL_FOR
    for (int i = 0; i < rows; ++i) {
        float *y = l.output + (size_t)i * (size_t)locations;
        const float bias = l.biases[i % l.n];
        for (int j = 0; j < locations; ++j)
            y[j] = vkd_nearest_half(y[j]) + bias;
    }
    activate_array(l.output, l.outputs * l.batch, l.activation);
}

bool vkd_is_rounded(const layer *l) {
    return l->forward == convolve_rounded;
}

static void to_rounded(network *teacher) {
    for (int i = 0; i < teacher->n; ++i)
        if (vkd_is_plain_convolution(&teacher->layers[i])) teacher->layers[i].forward = convolve_rounded;
}

// ---- on a device ----
//
//     workspace of a layer    cuDNN's own | input | output

#if defined GPU && defined CUDNN
#include "gpu/teacher_kernels.h"

// As Darknet's own convolutions have it.
static const size_t most_workspace = (size_t)1 << 30;

static size_t aligned(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

static size_t input_bytes(const layer *l) {
    return aligned((size_t)l->inputs * (size_t)l->batch * sizeof(vkd_half));
}

static size_t output_bytes(const layer *l) {
    return aligned((size_t)l->outputs * (size_t)l->batch * sizeof(vkd_half));
}

static void convolve_in_half(layer l, network net) {
    const float one = 1, zero = 0;
    const size_t own = l.workspace_size - input_bytes(&l) - output_bytes(&l);
    char *place = (char *)net.workspace + own;
    vkd_half *x = (vkd_half *)place, *y = (vkd_half *)(place + input_bytes(&l));
    vkd_gpu_to_half(&vkd_on_darknets_stream, net.input_gpu, (size_t)l.inputs * (size_t)l.batch, x);
    check_cudnn(cudnnConvolutionForward(cudnn_handle(), &one, l.srcTensorDesc, x, l.weightDesc, l.weights_gpu,
                                        l.convDesc, l.fw_algo, net.workspace, own, &zero, l.dstTensorDesc,
                                        y));
    vkd_teacher_end_on_device(&l, &net, y);
}

// cuDNN's own workspace, with the proposal's math type in force. Sums are float32, as Darknet has set them.
static bool takes(layer *l, const cudnnConvolutionFwdAlgoPerf_t *proposal, size_t *own) {
    if (proposal->status) return false;
    l->fw_algo = proposal->algo;
    check_cudnn(cudnnSetConvolutionMathType(l->convDesc, proposal->mathType));
    return !cudnnGetConvolutionForwardWorkspaceSize(cudnn_handle(), l->srcTensorDesc, l->weightDesc,
                                                    l->convDesc, l->dstTensorDesc, l->fw_algo, own) &&
           *own <= most_workspace;
}

// As Darknet chooses: the fastest that gives the same bits at every run, or else the fastest.
static size_t choose_algorithm(layer *l) {
    cudnnConvolutionFwdAlgoPerf_t found[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
    int count = 0;
    size_t own = 0;
    // Tensor cores where the GPU has them.
    check_cudnn(cudnnSetConvolutionMathType(l->convDesc, CUDNN_TENSOR_OP_MATH));
    check_cudnn(cudnnGetConvolutionForwardAlgorithm_v7(cudnn_handle(), l->srcTensorDesc, l->weightDesc,
                                                       l->convDesc, l->dstTensorDesc,
                                                       CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &count, found));
    for (int any = 0; any < 2; ++any)
        for (int i = 0; i < count; ++i)
            if ((any || found[i].determinism == CUDNN_DETERMINISTIC) && takes(l, &found[i], &own)) return own;
    vkd_fail("cuDNN knows no way to convolve in half precision; expected teacher_half=0");
}

bool vkd_half_fit_workspace(layer *l) {
    if (l->forward_gpu != convolve_in_half) return false;
    check_cudnn(cudnnSetTensor4dDescriptor(l->srcTensorDesc, CUDNN_TENSOR_NCHW, CUDNN_DATA_HALF, l->batch,
                                           l->c, l->h, l->w));
    check_cudnn(cudnnSetTensor4dDescriptor(l->dstTensorDesc, CUDNN_TENSOR_NCHW, CUDNN_DATA_HALF, l->batch,
                                           l->out_c, l->out_h, l->out_w));
    check_cudnn(cudnnSetFilter4dDescriptor(l->weightDesc, CUDNN_DATA_HALF, CUDNN_TENSOR_NCHW, l->n,
                                           l->c / l->groups, l->size, l->size));
    l->workspace_size = aligned(choose_algorithm(l)) + input_bytes(l) + output_bytes(l);
    return true;
}

static void give_halves(layer *l) {
    const size_t count = (size_t)l->nweights, floats = (count + 1) / 2; // what they take up on the device
    vkd_half *halves = calloc(floats, sizeof(float));
    if (!halves) vkd_fail("no memory for the teacher's weights");
    for (size_t j = 0; j < count; ++j)
        halves[j] = vkd_half_of(l->weights[j]);
    vkd_device_copy_free(l->weights_gpu);
    l->weights_gpu = vkd_device_copy_of((void *)halves, floats);
    free(halves);
}

static void to_device_halves(network *teacher) {
    cuda_set_device(teacher->gpu_index);
    for (int i = 0; i < teacher->n; ++i) {
        layer *l = &teacher->layers[i];
        if (!vkd_is_plain_convolution(l)) continue;
        give_halves(l);
        l->forward_gpu = convolve_in_half;
    }
    vkd_teacher_fit_workspace(teacher);
}

const char *vkd_half_is_missing(const network *net) {
    (void)net;
    return NULL;
}
#else
const char *vkd_half_is_missing(const network *net) {
    return vkd_is_on_device(net)
               ? "a program without cuDNN; expected 0, or one that is made with GPU=1 CUDNN=1"
               : NULL;
}

bool vkd_half_fit_workspace(layer *l) {
    (void)l;
    return false;
}

static void to_device_halves(network *teacher) {
    (void)teacher;
}
#endif

void vkd_teacher_to_half(network *teacher, const char *weights_path) {
    for (int i = 0; i < teacher->n && weights_path; ++i)
        if (vkd_is_plain_convolution(&teacher->layers[i]))
            round_weights(&teacher->layers[i], i, weights_path);
    if (vkd_is_on_device(teacher))
        to_device_halves(teacher);
    else
        to_rounded(teacher);
}

void vkd_net_to_half(network *net, const char *weights_path) {
    size_t floats = 1;
    vkd_fold_batch_norms(net);
    vkd_teacher_to_half(net, weights_path);
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        size_t own = l->type == CONVOLUTIONAL ? vkd_teacher_workspace(l) : l->workspace_size / sizeof(float);
        if (own > floats) floats = own;
    }
    free(net->workspace);
    net->workspace = calloc(floats, sizeof(float));
    if (!net->workspace) vkd_fail("no memory for the network's workspace");
}
