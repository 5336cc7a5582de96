#include "host/parameters.h"

#include "numerics/finite.h"

#include "cuda.h"
#include "layer.h"
#include "network.h"

#include <stdio.h>

typedef struct counts {
    size_t weights, biases, filters; // of biases, scales and statistics
} counts;

// False: a layer without parameters, or one of a recurrent network.
static bool count_parameters(const layer *l, counts *n) {
    *n = (counts){(size_t)l->nweights, (size_t)l->n, (size_t)l->n};
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL:
        return true;
    case CONNECTED:
        n->weights = (size_t)l->outputs * (size_t)l->inputs;
        n->biases = n->filters = (size_t)l->outputs;
        return true;
    case BATCHNORM:
        n->weights = n->biases = 0; // its biases are no part of the file
        n->filters = (size_t)l->c;
        return true;
    case LOCAL:
        n->weights = (size_t)l->size * (size_t)l->size * (size_t)l->c * (size_t)l->n * (size_t)l->out_w *
                     (size_t)l->out_h;
        n->biases = (size_t)l->outputs;
        return true;
    default:
        return false;
    }
}

int vkd_layer_parameters(const layer *l, vkd_parameters parts[VKD_PARAMETERS]) {
    counts of;
    if (!count_parameters(l, &of)) return 0;
    const vkd_parameters all[VKD_PARAMETERS] = {{"weights", l->weights, of.weights},
                                                {"biases", l->biases, of.biases},
                                                {"scales", l->scales, of.filters},
                                                {"means", l->rolling_mean, of.filters},
                                                {"variances", l->rolling_variance, of.filters}};
    int n = 0;
    for (int i = 0; i < VKD_PARAMETERS; ++i)
        if (all[i].at && all[i].count) parts[n++] = all[i];
    return n;
}

// The variances come last.
static bool is_bad(const vkd_parameters *p, size_t i) {
    return !vkd_is_finite(p->at[i]) || (p->name[0] == 'v' && p->at[i] < 0);
}

bool vkd_find_bad_parameter(const network *net, char *text, size_t size) {
    for (int i = 0; i < net->n; ++i) {
        vkd_parameters parts[VKD_PARAMETERS];
        int n = vkd_layer_parameters(&net->layers[i], parts);
        for (int p = 0; p < n; ++p)
            for (size_t j = 0; j < parts[p].count; ++j) {
                if (!is_bad(&parts[p], j)) continue;
                snprintf(text, size, "layer %d (%s): found %g among its %s", i,
                         get_layer_string(net->layers[i].type), parts[p].at[j], parts[p].name);
                return true;
            }
    }
    return false;
}

#ifdef GPU
static void copy_parameters(const network *net, void (*copy)(float *device, float *host, size_t count)) {
    if (net->gpu_index < 0) return;
    cuda_set_device(net->gpu_index);
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        counts of;
        if (!count_parameters(l, &of)) continue;
        const struct {
            float *device, *host;
            size_t count;
        } twins[] = {{l->weights_gpu, l->weights, of.weights},
                     {l->weight_updates_gpu, l->weight_updates, of.weights},
                     {l->biases_gpu, l->biases, of.biases},
                     {l->bias_updates_gpu, l->bias_updates, of.biases},
                     {l->scales_gpu, l->scales, of.filters},
                     {l->scale_updates_gpu, l->scale_updates, of.filters},
                     {l->rolling_mean_gpu, l->rolling_mean, of.filters},
                     {l->rolling_variance_gpu, l->rolling_variance, of.filters}};
        for (size_t t = 0; t < sizeof twins / sizeof *twins; ++t)
            if (twins[t].device && twins[t].host && twins[t].count)
                copy(twins[t].device, twins[t].host, twins[t].count);
    }
}

void vkd_parameters_pull(const network *net) {
    copy_parameters(net, cuda_pull_array);
}

void vkd_parameters_push(const network *net) {
    copy_parameters(net, cuda_push_array);
}
#else
void vkd_parameters_pull(const network *net) {
    (void)net;
}

void vkd_parameters_push(const network *net) {
    (void)net;
}
#endif
