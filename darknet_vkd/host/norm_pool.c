// Where a convolution's batch norm and activation are left to the max pooling behind it: training on the CPU.
#define _POSIX_C_SOURCE 200809L
#include "numerics/norm_pool.h"
#include "host/hooks.h"
#include "host/plugin.h"
#include "host/taps.h"
#include "numerics/row_moments.h"

// The activation's slope below 0, where it is 1 above; negative for all other activations.
static float slope_of(const layer *l) {
    return l->activation == LINEAR ? 1 : l->activation == LEAKY ? 0.1f : l->activation == RELU ? 0 : -1;
}

static bool is_looked_at(const network *net, int i) { // by the plugin
    const vkd_plugin *plugin = vkd_of(net);
    if (plugin && plugin->keeps_maps) return true;
    for (int t = 0; plugin && t < plugin->tap_count; ++t)
        if (vkd_student_layer(net, t) == &net->layers[i]) return true;
    return false;
}

// By another layer than the next.
static bool is_read_elsewhere(const network *net, int i) {
    for (int j = i + 2; j < net->n; ++j) {
        const layer *l = &net->layers[j];
        if (l->type == SHORTCUT && l->index == i) return true;
        for (int k = 0; l->type == ROUTE && k < l->n; ++k)
            if (l->input_layers[k] == i) return true;
    }
    return net->layers[i].truth || is_looked_at(net, i);
}

static vkd_norm_pool shape_of(const layer *l) {
    return (vkd_norm_pool){.batch = l->batch,
                           .channels = l->out_c,
                           .h = l->out_h,
                           .w = l->out_w,
                           .slope = slope_of(l),
                           .mean = l->mean,
                           .variance = l->variance,
                           .scale = l->scales,
                           .bias = l->biases};
}

int vkd_is_pooled(const network *net, int i) {
    if (!net->train || i < 0 || i + 1 >= net->n) return 0;
    const layer *l = &net->layers[i], *pool = l + 1;
    if (l->type != CONVOLUTIONAL || !l->batch_normalize || slope_of(l) < 0 || pool->type != MAXPOOL) return 0;
    const vkd_norm_pool s = shape_of(l);
    return pool->size == 2 && pool->stride == 2 && pool->out_h == l->out_h / 2 &&
           pool->out_w == l->out_w / 2 && vkd_norm_pool_serves(&s) && !is_read_elsewhere(net, i);
}

// Of the layer of a pass, which may lie within another.
static bool norm_is_pooled(const layer *l, const network *net) {
    return vkd_is_pooled(net, net->index) && net->layers[net->index].output == l->output;
}

// As Darknet keeps them.
static void set_statistics(const layer *l, const float *rows) {
    const double count = (double)l->batch * l->out_h * l->out_w;
    VKD_PARALLEL_FOR
    for (int c = 0; c < l->out_c; ++c) {
        double mean, square;
        vkd_channel_of_rows(rows, l->batch, l->out_c, l->out_h, l->out_w, c, &mean, &square);
        l->mean[c] = (float)mean;
        l->variance[c] = (float)(square / (count - 1));
        l->rolling_mean[c] = .99f * l->rolling_mean[c] + .01f * l->mean[c];
        l->rolling_variance[c] = .99f * l->rolling_variance[c] + .01f * l->variance[c];
    }
}

int vkd_convolve_for_pooling(const layer *l, const network *net) {
    float *rows = l->output; // nobody else uses it, and a row has more than two values
    if (!norm_is_pooled(l, net) || !vkd_convolve_measured(l, net->input, net->workspace, l->x, rows))
        return 0;
    set_statistics(l, rows);
    return 1;
}

// Where the largest stood, in the room of the indexes that Darknet would keep.
static uint8_t *winners(const layer *pool) {
    return (uint8_t *)pool->indexes;
}

int vkd_norm_and_pool(const layer *pool, const network *net) {
    if (!vkd_is_pooled(net, net->index - 1)) return 0;
    const layer *l = &net->layers[net->index - 1];
    const vkd_norm_pool s = shape_of(l);
    vkd_norm_pool_forward(&s, l->x, pool->output, winners(pool));
    return 1;
}

int vkd_norm_and_pool_backward(const layer *l, const network *net) {
    if (!norm_is_pooled(l, net)) return 0;
    const layer *pool = &net->layers[net->index + 1];
    const vkd_norm_pool s = shape_of(l);
    vkd_norm_pool_backward(&s, l->x, pool->output, winners(pool), pool->delta, l->delta, l->scale_updates,
                           l->bias_updates);
    return 1;
}
