#include "host/parameters.h"

#include "numerics/finite.h"

#include "layer.h"
#include "network.h"

#include <stdio.h>

int vkd_layer_parameters(const layer *l, vkd_parameters parts[VKD_PARAMETERS]) {
    size_t weights = (size_t)l->nweights, filters = (size_t)l->n, biases = filters;
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL:
        break;
    case CONNECTED:
        weights = (size_t)l->outputs * (size_t)l->inputs;
        biases = filters = (size_t)l->outputs;
        break;
    case BATCHNORM:
        weights = biases = 0; // its biases are no part of the file
        filters = (size_t)l->c;
        break;
    case LOCAL:
        weights = (size_t)l->size * (size_t)l->size * (size_t)l->c * (size_t)l->n * (size_t)l->out_w *
                  (size_t)l->out_h;
        biases = (size_t)l->outputs;
        break;
    default:
        return 0;
    }
    const vkd_parameters all[VKD_PARAMETERS] = {{"weights", l->weights, weights},
                                                {"biases", l->biases, biases},
                                                {"scales", l->scales, filters},
                                                {"means", l->rolling_mean, filters},
                                                {"variances", l->rolling_variance, filters}};
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
