// teacher_half=1: the convolutions of a frozen teacher in half precision, by cuDNN, which multiplies halves
// and adds up in float32. Only they are: a layer takes float32 and leaves it, and its input and output are
// halves in the workspace for the time of its pass.
//
//     workspace of a layer    cuDNN's own | input | output
#include "host/plugin.h"
#include "host/run.h"

#include "cuda.h"

#if defined GPU && defined CUDNN
#include "gpu/half_kernels.h"

#include "activations.h"

#include <stdlib.h>

// As Darknet's own convolutions have it.
static const size_t most_workspace = (size_t)1 << 30;

// On Darknet's own stream.
static const vkd_launch on_its_stream = {.block = 256, .columns = 32, .parts = 1};

const char *vkd_half_is_missing(const network *net) {
    return vkd_is_on_device(net) ? NULL : "a run on the CPU; expected 0, or a run on a GPU";
}

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
    vkd_gpu_to_half(&on_its_stream, net.input_gpu, (size_t)l.inputs * (size_t)l.batch, x);
    check_cudnn(cudnnConvolutionForward(cudnn_handle(), &one, l.srcTensorDesc, x, l.weightDesc, l.weights_gpu,
                                        l.convDesc, l.fw_algo, net.workspace, own, &zero, l.dstTensorDesc,
                                        y));
    vkd_gpu_from_half(&on_its_stream, y, l.biases_gpu, l.batch, l.n, l.out_w * l.out_h, l.activation == LEAKY,
                      l.output_gpu);
    if (l.activation != LEAKY && l.activation != LINEAR)
        activate_array_gpu(l.output_gpu, l.outputs * l.batch, l.activation);
}

static void choose_algorithm(layer *l) {
    cudnnConvolutionFwdAlgoPerf_t found[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
    int count = 0, i = 0;
    // Tensor cores where the GPU has them. The sums' type is float32, as Darknet has set it.
    check_cudnn(cudnnSetConvolutionMathType(l->convDesc, CUDNN_TENSOR_OP_MATH));
    check_cudnn(cudnnGetConvolutionForwardAlgorithm_v7(cudnn_handle(), l->srcTensorDesc, l->weightDesc,
                                                       l->convDesc, l->dstTensorDesc,
                                                       CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &count, found));
    while (i < count && (found[i].status || found[i].memory > most_workspace))
        ++i;
    if (i == count) vkd_fail("cuDNN knows no way to convolve in half precision; expected teacher_half=0");
    l->fw_algo = found[i].algo;
    check_cudnn(cudnnSetConvolutionMathType(l->convDesc, found[i].mathType));
}

bool vkd_half_fit_workspace(layer *l) {
    if (l->forward_gpu != convolve_in_half) return false;
    size_t own = 0;
    check_cudnn(cudnnSetTensor4dDescriptor(l->srcTensorDesc, CUDNN_TENSOR_NCHW, CUDNN_DATA_HALF, l->batch,
                                           l->c, l->h, l->w));
    check_cudnn(cudnnSetTensor4dDescriptor(l->dstTensorDesc, CUDNN_TENSOR_NCHW, CUDNN_DATA_HALF, l->batch,
                                           l->out_c, l->out_h, l->out_w));
    check_cudnn(cudnnSetFilter4dDescriptor(l->weightDesc, CUDNN_DATA_HALF, CUDNN_TENSOR_NCHW, l->n,
                                           l->c / l->groups, l->size, l->size));
    choose_algorithm(l);
    check_cudnn(cudnnGetConvolutionForwardWorkspaceSize(cudnn_handle(), l->srcTensorDesc, l->weightDesc,
                                                        l->convDesc, l->dstTensorDesc, l->fw_algo, &own));
    l->workspace_size = aligned(own) + input_bytes(l) + output_bytes(l);
    return true;
}

// Of weights with batch norm folded in.
static void halve_weights(layer *l, int i, const char *weights_path) {
    const size_t count = (size_t)l->nweights, floats = (count + 1) / 2; // what they take up on the device
    vkd_half *halves = calloc(floats, sizeof(float));
    if (!halves) vkd_fail("no memory for the teacher's weights");
    for (size_t j = 0; j < count; ++j) {
        halves[j] = vkd_half_of(l->weights[j]);
        if (!vkd_half_is_finite(halves[j]))
            vkd_fail(
                "%s: the teacher's layer %d (convolutional): found a weight of %g, and half precision ends "
                "at %g; expected teacher_half=0",
                weights_path, i, l->weights[j], VKD_HALF_LARGEST);
    }
    vkd_device_copy_free(l->weights_gpu);
    l->weights_gpu = vkd_device_copy_of((void *)halves, floats);
    free(halves);
}

void vkd_teacher_to_half(network *teacher, const char *weights_path) {
    cuda_set_device(teacher->gpu_index);
    for (int i = 0; i < teacher->n; ++i) {
        layer *l = &teacher->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        halve_weights(l, i, weights_path);
        l->forward_gpu = convolve_in_half;
    }
    vkd_teacher_fit_workspace(teacher);
}
#else
const char *vkd_half_is_missing(const network *net) {
    (void)net;
    return "a program without cuDNN; expected 0, or one that is made with GPU=1 CUDNN=1";
}

bool vkd_half_fit_workspace(layer *l) {
    (void)l;
    return false;
}

void vkd_teacher_to_half(network *teacher, const char *weights_path) {
    (void)teacher;
    (void)weights_path;
}
#endif
