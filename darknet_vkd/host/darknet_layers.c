// What each type of layer needs of the layer before it, and what it would allocate.
#define _POSIX_C_SOURCE 200809L
#include "host/darknet_check.h"
#include "host/machine_memory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void check_file(const vkd_checker *c, const char *key) {
    const kvp *option = vkd_find(c, key);
    if (!option) return;
    struct stat st;
    FILE *file = fopen(option->val, "r");
    if (!file) vkd_refuse(c, key, "%.256s: %s", option->val, strerror(errno));
    bool plain = !fstat(fileno(file), &st) && S_ISREG(st.st_mode);
    fclose(file);
    if (!plain) vkd_refuse(c, key, "%.256s: no plain file", option->val);
}

// ---- sizes
// ------------------------------------------------------------------------------------------------

// The layer holds `count` values in one piece, of each picture where they are `images`; `copies` such pieces.
static void need(const vkd_checker *c, const char *key, const char *what, double count, int copies,
                 bool images) {
    const double memory = vkd_machine_memory();
    double piece = images ? count * c->net->batch : count;
    if (piece > INT_MAX) vkd_refuse(c, key, "%.4g %s; Darknet counts up to %d", piece, what, INT_MAX);
    *c->bytes += count * copies * (double)sizeof(float);
    if (piece * (double)sizeof(float) > memory || *c->bytes > memory)
        vkd_refuse(c, key,
                   "%.4g %s; with them the network needs at least %.4g MB, and the machine has %.4g MB",
                   piece, what, (*c->bytes > piece * 4 ? *c->bytes : piece * 4) / 1e6, memory / 1e6);
}

static void need_outputs(const vkd_checker *c, const char *key, double count) {
    need(c, key, "outputs", count, 2, true);
}

static void need_weights(const vkd_checker *c, const char *key, double count) {
    need(c, key, "weights", count, c->net->adam ? 4 : 2, false);
}

// Darknet gives a [route] of other grids no width and height, which shows in the layer behind it only. With
// an input that is not a multiple of the strides this is what comes of [upsample].
static void need_grids_alike(const vkd_checker *c) {
    const layer *route = c->index > 0 ? &c->net->layers[c->index - 1] : NULL;
    if (!route || route->type != ROUTE) return;
    const layer *first = &c->net->layers[route->input_layers[0]];
    for (int i = 1; i < route->n; ++i) {
        const layer *l = &c->net->layers[route->input_layers[i]];
        if (l->out_w != first->out_w || l->out_h != first->out_h)
            vkd_refuse(c, NULL,
                       "the [route] before joins layer %d, %d x %d, and layer %d, %d x %d; expected grids "
                       "alike: are width and height in [net] multiples of every stride?",
                       route->input_layers[0], first->out_w, first->out_h, route->input_layers[i], l->out_w,
                       l->out_h);
    }
}

static void need_map(const vkd_checker *c) {
    if (!(c->w > 0 && c->h > 0 && c->c > 0)) {
        need_grids_alike(c);
        vkd_refuse(c, NULL, "the layer before has no width, height and channels; expected a feature map");
    }
    if (c->w > VKD_DARKNET_WIDEST || c->h > VKD_DARKNET_WIDEST)
        vkd_refuse(c, NULL, "the layer before is %g x %g; expected at most %d either way", c->w, c->h,
                   VKD_DARKNET_WIDEST);
}

// Whole strides in so many pixels, towards zero as C divides.
static double strides(double pixels, int stride) {
    long long whole = (long long)pixels / stride;
    return (double)whole;
}

static void need_grid(const vkd_checker *c, const char *key, double w, double h) {
    if (!(w >= 1 && h >= 1)) vkd_refuse(c, key, "nothing is left of the layer before, %g x %g", c->w, c->h);
}

static void check_convolutional(vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    need_map(c);
    if (k->filters % k->groups || (int)c->c % k->groups)
        vkd_refuse(c, "groups", "%d groups, %d filters on %g channels; expected a divisor of both", k->groups,
                   k->filters, c->c);
    int pad = k->pad ? k->size / 2 : k->padding;
    double w = strides(c->w + 2.0 * pad - k->size, k->stride) + 1,
           h = strides(c->h + 2.0 * pad - k->size, k->stride) + 1;
    // Towards zero, what is too small by less than a stride would count as one.
    need_grid(c, "size", c->w + 2 * pad < k->size ? 0 : w, c->h + 2 * pad < k->size ? 0 : h);
    double patch = c->c * k->size * k->size;
    need(c, "size", "values under a filter", patch, 0, false);
    need_weights(c, "filters", patch / k->groups * k->filters);
    need_outputs(c, "filters", w * h * k->filters);
    if (k->size > 1 || k->stride > 1 || pad) // otherwise the input itself is the matrix
        need(c, "size", "values of workspace", w * h * patch / k->groups, 1, false);
}

static void check_deconvolutional(vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    need_map(c);
    int pad = k->pad ? k->size / 2 : k->padding;
    double w = (c->w - 1) * k->stride + k->size - 2.0 * pad, h = (c->h - 1) * k->stride + k->size - 2.0 * pad;
    need_grid(c, "padding", w, h);
    double patch = (double)k->filters * k->size * k->size;
    need_weights(c, "filters", patch * c->c);
    need_outputs(c, "filters", w * h * k->filters);
    need(c, "size", "values of workspace", c->w * c->h * patch, 1, false);
}

static void check_local(vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    need_map(c);
    int covered = k->pad ? 1 : k->size;
    if (c->w < covered || c->h < covered) need_grid(c, "size", 0, 0);
    double w = strides(c->w - covered, k->stride) + 1, h = strides(c->h - covered, k->stride) + 1;
    double patch = c->c * k->size * k->size;
    need_weights(c, "filters", patch * k->filters * w * h);
    need_outputs(c, "filters", w * h * k->filters);
    need(c, "size", "values of workspace", w * h * patch, 1, false);
}

static void need_whole_steps(const vkd_checker *c) {
    if (c->net->batch % c->net->time_steps)
        vkd_refuse(c, NULL, "a batch of %d; expected a multiple of time_steps=%d", c->net->batch,
                   c->net->time_steps);
}

// `to`: how many matrices go from the inputs to the outputs; `among`: from outputs to outputs.
static void check_recurrent(const vkd_checker *c, int to, int among) {
    need_whole_steps(c);
    double out = c->keys.output;
    need(c, "output", "weights", out * c->inputs, 2 * to, false);
    need(c, "output", "weights", out * out, 2 * among, false);
    need(c, "output", "outputs", out, 2 * (to + among), true);
}

static void check_crnn(vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    need_map(c);
    need_whole_steps(c);
    double grid = c->w * c->h, hidden = k->hidden_filters;
    need_weights(c, "hidden_filters", 9 * hidden * c->c);
    need_weights(c, "hidden_filters", 9 * hidden * hidden);
    need_weights(c, "output_filters", 9 * hidden * k->output_filters);
    need_outputs(c, "hidden_filters", 2 * grid * hidden);
    need_outputs(c, "output_filters", grid * k->output_filters);
    need(c, "hidden_filters", "values of workspace", 9 * grid * (hidden > c->c ? hidden : c->c), 1, false);
}

static void check_crop(vkd_checker *c) {
    need_map(c);
    if (c->keys.crop_width > c->w)
        vkd_refuse(c, "crop_width", "%d; expected at most the width before, %g", c->keys.crop_width, c->w);
    if (c->keys.crop_height > c->h)
        vkd_refuse(c, "crop_height", "%d; expected at most the height before, %g", c->keys.crop_height, c->h);
    need_outputs(c, "crop_width", c->c * c->keys.crop_width * c->keys.crop_height);
}

static void check_maxpool(vkd_checker *c) {
    vkd_darknet_keys *k = &c->keys;
    need_map(c);
    if (!vkd_is_set(c, "size")) k->size = k->stride;
    if (!vkd_is_set(c, "padding")) k->padding = k->size - 1;
    if (k->padding > 2 * (k->size - 1))
        vkd_refuse(c, "padding", "%d; expected at most twice size - 1, %d, or a window sees nothing",
                   k->padding, 2 * (k->size - 1));
    double w = c->w + k->padding < k->size ? 0 : ((int)c->w + k->padding - k->size) / k->stride + 1,
           h = c->h + k->padding < k->size ? 0 : ((int)c->h + k->padding - k->size) / k->stride + 1;
    need_grid(c, "size", w, h);
    need(c, "size", "outputs", w * h * c->c, 3, true);
}

static void check_reorg(vkd_checker *c) {
    int s = c->keys.stride, w = (int)c->w, h = (int)c->h;
    need_map(c);
    bool fits = (int)c->c % ((long long)s * s) == 0;
    if (!c->keys.extra && !(fits && (c->keys.reverse || (w % s == 0 && h % s == 0))))
        vkd_refuse(c, "stride", "%d on %d x %d x %g; expected its square to divide the channels%s", s, w, h,
                   c->c, c->keys.reverse ? "" : ", and itself width and height");
    need_outputs(c, c->keys.extra ? "extra" : "stride", c->inputs + c->keys.extra);
}

static void check_upsample(vkd_checker *c) {
    int s = c->keys.stride;
    need_map(c);
    if (s == 0)
        vkd_refuse(c, "stride", "0; expected how many times wider, or below 0 how many times narrower");
    if (s < 0 && ((int)c->w % s || (int)c->h % s))
        vkd_refuse(c, "stride", "%d on %g x %g; expected a divisor of both", s, c->w, c->h);
    need_outputs(c, "stride", s > 0 ? c->inputs * s * s : c->inputs / s / s);
}

static void check_normalization(vkd_checker *c) {
    int half = c->keys.size / 2;
    need_map(c);
    if (half > c->c)
        vkd_refuse(c, "size", "%d on %g channels; expected at most twice as many", c->keys.size, c->c);
    need(c, NULL, "outputs", c->inputs, 4, true);
}

// ---- layers that look back
// --------------------------------------------------------------------------------

// The layer that `written` means. It must be one that a gradient can be given back to.
static const layer *layer_before(const vkd_checker *c, const char *key, int written) {
    long long at = written < 0 ? (long long)c->index + written : written;
    if (c->index == 0) vkd_refuse(c, key, "found %d, and this is the first layer", written);
    if (at < 0 || at >= c->index)
        vkd_refuse(c, key, "found %d, expected a layer before this one, 0 to %d or -%d to -1", written,
                   c->index - 1, c->index);
    const layer *l = &c->net->layers[at];
    if (!l->output || !l->delta)
        vkd_refuse(c, key, "layer %lld is [%s], which takes no gradient; expected another", at,
                   get_layer_string(l->type));
    return l;
}

static void check_route(vkd_checker *c) {
    const kvp *option = vkd_find(c, "layers");
    if (!option) vkd_refuse(c, "layers", "missing; expected one layer or more");
    double outputs = 0;
    for (const char *at = option->val; at;) {
        vkd_next_number(c, 0, option, &at);
        outputs += layer_before(c, "layers", c->keys.integer)->outputs;
    }
    need_outputs(c, "layers", outputs);
}

static void check_shortcut(vkd_checker *c) {
    if (!vkd_is_set(c, "from")) vkd_refuse(c, "from", "missing; expected a layer");
    const layer *l = layer_before(c, "from", c->keys.from);
    need_map(c);
    int w = (int)c->w, h = (int)c->h;
    if (l->out_w < 1 || l->out_h < 1 || l->out_c < 1 || w / l->out_w != h / l->out_h ||
        l->out_w / w != l->out_h / h)
        vkd_refuse(c, "from",
                   "layer %d is %d x %d and the layer before this one %d x %d; expected grids alike",
                   (int)(l - c->net->layers), l->out_w, l->out_h, w, h);
    need_outputs(c, NULL, c->inputs);
}

static void check_dropout(vkd_checker *c) {
    if (c->index == 0) vkd_refuse(c, NULL, "found first; expected a layer before it");
    if (!c->net->layers[c->index - 1].output || !c->net->layers[c->index - 1].delta)
        vkd_refuse(c, NULL, "the layer before is [%s], which takes no gradient; expected another",
                   get_layer_string(c->net->layers[c->index - 1].type));
    need(c, NULL, "random numbers", c->inputs, 1, true);
}

// ---- heads
// ------------------------------------------------------------------------------------------------

static void need_channels(const vkd_checker *c, double channels) {
    if (!(c->w > 0 && c->h > 0) || c->inputs != c->w * c->h * channels)
        vkd_refuse(c, NULL, "needs %.0f channels, found %g; set filters=%.0f in the layer before", channels,
                   c->c, channels);
    need_outputs(c, NULL, c->inputs);
}

static void check_anchors(const vkd_checker *c) {
    int found = vkd_numbers_of(c, "anchors");
    if (vkd_is_set(c, "anchors") && found != 2.0 * c->keys.num)
        vkd_refuse(c, "anchors", "%d numbers; expected 2*num = %.0f", found, 2.0 * c->keys.num);
    need(c, "num", "anchors", 2.0 * c->keys.num, 2, false);
}

static void check_yolo(vkd_checker *c) {
    const kvp *mask = vkd_find(c, "mask");
    int count = mask ? vkd_numbers_of(c, "mask") : c->keys.num;
    for (const char *at = mask ? mask->val : NULL; at;) {
        vkd_next_number(c, 0, mask, &at);
        if (c->keys.integer >= c->keys.num)
            vkd_refuse(c, "mask", "found %d; expected 0 to num-1 = %d", c->keys.integer, c->keys.num - 1);
    }
    need_channels(c, count * (c->keys.classes + 5.0));
    check_anchors(c);
    need(c, "max", "numbers of truth", 5.0 * c->keys.max, 1, true);
    check_file(c, "map");
}

static void check_region(vkd_checker *c) {
    need_channels(c, c->keys.num * (1.0 + c->keys.classes + c->keys.coords));
    check_anchors(c);
    need(c, "max", "numbers of truth", (c->keys.coords + 1.0) * c->keys.max, 1, true);
    check_file(c, "map");
    check_file(c, "tree");
}

static void check_detection(vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    double cells = (double)k->side * k->side, outputs = cells * ((1.0 + k->coords) * k->num + k->classes);
    if (k->coords < 4) vkd_refuse(c, "coords", "missing; expected 4");
    if (c->inputs != outputs)
        vkd_refuse(c, NULL, "needs %.0f inputs = side*side*((1 + coords)*num + classes), found %g", outputs,
                   c->inputs);
    need_outputs(c, NULL, outputs);
    need(c, "classes", "numbers of truth", cells * (1.0 + k->coords + k->classes), 1, true);
}

static void check_iseg(vkd_checker *c) {
    need_channels(c, (double)c->keys.classes + c->keys.ids);
    need(c, NULL, "numbers of truth", 90 * (c->w * c->h + 1), 1, true);
    need(c, "ids", "sums", c->keys.ids, 90, false);
}

static void check_softmax(vkd_checker *c) {
    if ((int)c->inputs % c->keys.groups)
        vkd_refuse(c, "groups", "%d on %g inputs; expected a divisor", c->keys.groups, c->inputs);
    need(c, NULL, "outputs", c->inputs, 3, true);
    check_file(c, "tree");
}

static void check_rnn(vkd_checker *c) {
    check_recurrent(c, 1, 2);
}

static void check_gru(vkd_checker *c) {
    check_recurrent(c, 3, 3);
}

static void check_lstm(vkd_checker *c) {
    check_recurrent(c, 4, 4);
}

static void check_connected(vkd_checker *c) {
    need_weights(c, "output", c->inputs * c->keys.output);
    need_outputs(c, "output", c->keys.output);
}

static void check_batchnorm(vkd_checker *c) {
    need_map(c);
    need(c, NULL, "outputs", c->inputs, 4, true);
}

static void check_avgpool(vkd_checker *c) {
    need_map(c);
    need_outputs(c, NULL, c->c);
}

// [activation], [logistic], [l2norm]
static void check_same_size(vkd_checker *c) {
    need(c, NULL, "outputs", c->inputs, 3, true);
}

static void check_cost(vkd_checker *c) {
    if (c->index == 0) vkd_refuse(c, NULL, "found first; expected a layer before it");
    check_same_size(c);
}

static void (*const checks[BLANK + 1])(vkd_checker *c) = {
    [CONVOLUTIONAL] = check_convolutional,
    [DECONVOLUTIONAL] = check_deconvolutional,
    [LOCAL] = check_local,
    [ACTIVE] = check_same_size,
    [LOGXENT] = check_same_size,
    [L2NORM] = check_same_size,
    [RNN] = check_rnn,
    [GRU] = check_gru,
    [LSTM] = check_lstm,
    [CRNN] = check_crnn,
    [CONNECTED] = check_connected,
    [CROP] = check_crop,
    [COST] = check_cost,
    [REGION] = check_region,
    [YOLO] = check_yolo,
    [ISEG] = check_iseg,
    [DETECTION] = check_detection,
    [SOFTMAX] = check_softmax,
    [NORMALIZATION] = check_normalization,
    [BATCHNORM] = check_batchnorm,
    [MAXPOOL] = check_maxpool,
    [REORG] = check_reorg,
    [AVGPOOL] = check_avgpool,
    [ROUTE] = check_route,
    [UPSAMPLE] = check_upsample,
    [SHORTCUT] = check_shortcut,
    [DROPOUT] = check_dropout,
};

void vkd_check_layer(vkd_checker *c, LAYER_TYPE type) {
    checks[type](c);
}
