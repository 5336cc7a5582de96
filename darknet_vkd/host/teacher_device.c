// A frozen teacher on a device: parameters of its own, and the block that teacher_memory.c plans for its
// outputs.
#include "host/plugin.h"
#include "host/run.h"

#include "cuda.h"
#include "network.h"

#ifdef GPU
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
    bool is_binary = l->type == CONVOLUTIONAL && (l->xnor || l->binary);
    bool is_spare = is_head(l) && !is_read(teacher, i);
    if (is_binary || !(vkd_teacher_shares_output(l) || l->type == DROPOUT || is_spare))
        refuse_layer(teacher, cfg_path, i);
}

void vkd_teacher_to_device(network *teacher, const char *cfg_path) {
    cuda_set_device(teacher->gpu_index);
    for (int i = 0; i < teacher->n; ++i) {
        layer *l = &teacher->layers[i];
        check_layer(teacher, cfg_path, i);
        if (l->type == CONVOLUTIONAL) {
            l->weights_gpu = cuda_make_array(l->weights, (size_t)l->nweights);
            l->biases_gpu = cuda_make_array(l->biases, (size_t)l->n);
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
        if (!is_head(&l)) l.forward_gpu(l, net);
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
