// A frozen teacher on a device: parameters of its own, and the block that teacher_memory.c plans for its
// outputs. Darknet's own convolutions and shortcuts go over an output once to clear or copy it, once more to
// add to it, and once each for bias and activation; a frozen teacher's only where there is something to do.
#include "host/plugin.h"
#include "host/run.h"

#include "cuda.h"
#include "network.h"

#ifdef GPU
#include "gpu/teacher_kernels.h"

#include "activations.h"
#include "convolutional_layer.h"
#include "gemm.h"
#include "im2col.h"

#include <stdlib.h>

bool vkd_is_on_device(const network *net) {
    return net->gpu_index >= 0;
}

// Not Darknet's own array, which counts in an int what a teacher's block may have more of.
float *vkd_device_copy_of(float *x, size_t floats) {
    void *copy = NULL;
    check_error(cudaMalloc(&copy, floats * sizeof(float)));
    if (x) cuda_push_array(copy, x, floats);
    return copy;
}

void vkd_device_copy_free(float *x) {
    cuda_free(x);
}

// Heads compute what nobody looks at, and bring it to the host.
static bool is_head(const layer *l) {
    return l->type == YOLO || l->type == REGION || l->type == DETECTION;
}

static void refuse_layer(const network *teacher, const char *cfg_path, int i) {
    vkd_fail("%s: layer %d of the teacher is [%s]%s, which is not run on a GPU; -nogpu trains on the CPU",
             cfg_path, i, get_layer_string(teacher->layers[i].type),
             teacher->layers[i].xnor || teacher->layers[i].binary ? " with binary weights" : "");
}

// Whether layer i's output is another's input.
static bool is_read(const network *net, int i) {
    if (i + 1 < net->n && net->layers[i + 1].type != ROUTE) return true;
    for (int j = i + 1; j < net->n; ++j) {
        const layer *l = &net->layers[j];
        if (l->type == SHORTCUT && l->index == i) return true;
        for (int s = 0; l->type == ROUTE && s < l->n; ++s)
            if (l->input_layers[s] == i) return true;
    }
    return false;
}

// What has no output in the teacher's block has none on the device; of heads nobody wants any.
static void check_layer(const network *teacher, const char *cfg_path, int i) {
    const layer *l = &teacher->layers[i];
    bool is_binary = l->type == CONVOLUTIONAL && !vkd_is_plain_convolution(l);
    bool is_spare = is_head(l) && !is_read(teacher, i);
    if (is_binary || !(vkd_teacher_shares_output(l) || l->type == DROPOUT || is_spare))
        refuse_layer(teacher, cfg_path, i);
}

// ---- its layers' passes ----

const vkd_launch vkd_on_darknets_stream = {.block = 256, .columns = 32, .parts = 1};

void vkd_teacher_end_on_device(const layer *l, const network *net, const vkd_half *sums) {
    const int below = net->index + 1, locations = l->out_w * l->out_h;
    const bool leaky = l->activation == LEAKY;
    const float *residual =
        vkd_teacher_is_joined(net, below) ? net->layers[net->layers[below].index].output_gpu : NULL;
    if (sums)
        vkd_gpu_ending_of_half(&vkd_on_darknets_stream, sums, l->biases_gpu, residual, l->batch, l->n,
                               locations, leaky, l->output_gpu);
    else
        vkd_gpu_ending(&vkd_on_darknets_stream, l->output_gpu, l->biases_gpu, residual, l->batch, l->n,
                       locations, leaky, l->output_gpu);
    if (l->activation != LEAKY && l->activation != LINEAR)
        activate_array_gpu(l->output_gpu, l->outputs * l->batch, l->activation);
}

// The sums of products over what the block held before.
#ifdef CUDNN
static void convolve(const layer *l, const network *net) {
    const float one = 1, zero = 0;
    check_cudnn(cudnnConvolutionForward(cudnn_handle(), &one, l->srcTensorDesc, net->input_gpu, l->weightDesc,
                                        l->weights_gpu, l->convDesc, l->fw_algo, net->workspace,
                                        l->workspace_size, &zero, l->dstTensorDesc, l->output_gpu));
}
#else
// Of each picture and group, Y (filters,columns) = W (filters,depth) X (depth,columns), where X is the input
// itself or what im2col makes of it.
static void convolve(const layer *l, const network *net) {
    const int channels = l->c / l->groups, filters = l->n / l->groups, columns = l->out_w * l->out_h,
              depth = channels * l->size * l->size;
    const bool as_it_is = convolutional_is_pointwise(*l);
    for (int i = 0; i < l->batch * l->groups; ++i) {
        float *W = l->weights_gpu + (size_t)(i % l->groups) * (size_t)filters * (size_t)depth,
              *X = net->input_gpu + (size_t)i * (size_t)channels * (size_t)(l->w * l->h),
              *Y = l->output_gpu + (size_t)i * (size_t)filters * (size_t)columns;
        if (!as_it_is) {
            im2col_gpu(X, channels, l->h, l->w, l->size, l->stride, l->pad, net->workspace);
            X = net->workspace;
        }
        gemm_gpu(0, 0, filters, columns, depth, 1, W, depth, X, columns, 0, Y, columns);
    }
}
#endif

static void convolve_and_end(layer l, network net) {
    convolve(&l, &net);
    vkd_teacher_end_on_device(&l, &net, NULL);
}

static bool adds_equal_sizes(const layer *l) {
    return l->w == l->out_w && l->h == l->out_h && l->c == l->out_c;
}

static void add_equal_sizes(layer l, network net) {
    const float *other = net.layers[l.index].output_gpu;
    vkd_gpu_weighted_sum(&vkd_on_darknets_stream, l.alpha, net.input_gpu, l.beta, other,
                         (size_t)l.outputs * (size_t)l.batch, l.output_gpu);
    if (l.activation != LINEAR) activate_array_gpu(l.output_gpu, l.outputs * l.batch, l.activation);
}

// ---- the whole ----

void vkd_teacher_to_device(network *teacher, const char *cfg_path) {
    cuda_set_device(teacher->gpu_index);
    for (int i = 0; i < teacher->n; ++i) {
        layer *l = &teacher->layers[i];
        check_layer(teacher, cfg_path, i);
        if (l->type == CONVOLUTIONAL) {
            l->weights_gpu = cuda_make_array(l->weights, (size_t)l->nweights);
            l->biases_gpu = cuda_make_array(l->biases, (size_t)l->n);
            l->forward_gpu = convolve_and_end;
        } else if (l->type == SHORTCUT && adds_equal_sizes(l)) {
            l->forward_gpu = add_equal_sizes;
        } else if (l->type == BATCHNORM) {
            l->scales_gpu = cuda_make_array(l->scales, (size_t)l->c);
            l->biases_gpu = cuda_make_array(l->biases, (size_t)l->c);
            l->rolling_mean_gpu = cuda_make_array(l->rolling_mean, (size_t)l->c);
            l->rolling_variance_gpu = cuda_make_array(l->rolling_variance, (size_t)l->c);
        }
    }
    vkd_teacher_fit_workspace(teacher);
}

// Darknet asks cuDNN for the most of three passes, of which a teacher has one.
void vkd_teacher_fit_workspace(network *teacher) {
#ifdef CUDNN
    for (int i = 0; i < teacher->n; ++i) {
        layer *l = &teacher->layers[i];
        if (l->type == CONVOLUTIONAL && !vkd_half_fit_workspace(l))
            check_cudnn(cudnnGetConvolutionForwardWorkspaceSize(cudnn_handle(), l->srcTensorDesc,
                                                                l->weightDesc, l->convDesc, l->dstTensorDesc,
                                                                l->fw_algo, &l->workspace_size));
    }
#else
    (void)teacher; // of im2col, as Darknet counts it
#endif
}

void vkd_teacher_forward_on_device(network *teacher, float *input) {
    cuda_set_device(teacher->gpu_index);
    network net = *teacher;
    net.input_gpu = input;
    net.truth = NULL;
    net.train = 0;
    for (int i = 0; i < net.n; ++i) {
        net.index = i;
        layer l = net.layers[i];
        if (!is_head(&l) && !vkd_teacher_is_joined(&net, i)) l.forward_gpu(l, net);
        net.input_gpu = l.output_gpu;
    }
}

float *vkd_teacher_input_on_device(const network *net, const vkd_plugin *plugin, float *input) {
    const network *teacher = plugin->teacher;
    cuda_set_device(teacher->gpu_index);
    if (plugin->teacher_input) {
        cuda_push_array(plugin->teacher_input_gpu, plugin->teacher_input,
                        (size_t)teacher->inputs * (size_t)teacher->batch);
        return plugin->teacher_input_gpu;
    }
    if (input != net->input) cuda_push_array(net->input_gpu, input, (size_t)net->inputs * (size_t)net->batch);
    return net->input_gpu;
}
#else
bool vkd_is_on_device(const network *net) {
    (void)net;
    return false;
}

void vkd_teacher_to_device(network *teacher, const char *cfg_path) {
    (void)teacher;
    (void)cfg_path;
}

void vkd_teacher_fit_workspace(network *teacher) {
    (void)teacher;
}

void vkd_teacher_forward_on_device(network *teacher, float *input) {
    (void)teacher;
    (void)input;
}

float *vkd_teacher_input_on_device(const network *net, const vkd_plugin *plugin, float *input) {
    (void)net;
    (void)plugin;
    return input;
}

float *vkd_device_copy_of(float *x, size_t floats) {
    (void)x;
    (void)floats;
    return NULL;
}

void vkd_device_copy_free(float *x) {
    (void)x;
}
#endif
