#define _POSIX_C_SOURCE 200809L
#include "host/plugin.h"

#include "core/cfg_text.h"
#include "core/file.h"
#include "core/foreground.h"
#include "host/calibrate.h"
#include "host/hooks.h"
#include "host/machine_memory.h"
#include "host/padding.h"
#include "host/parameters.h"
#include "host/run.h"
#include "host/taps.h"
#include "host/training_data.h"

#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

vkd_plugin *vkd_of(const network *net) {
    return net->vkd;
}

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) vkd_fail("no memory for the vkd taps");
    return p;
}

static char *copy_text(const char *text) {
    char *copy = text && *text ? strdup(text) : NULL;
    if (text && *text && !copy) vkd_fail("no memory for a file name");
    return copy;
}

void vkd_network_begin(void) {
    vkd_seed_thread(VKD_STREAM_WEIGHTS, 0, 0);
}

static void refuse_bad_parameters(const network *net, const char *weights) {
    char found[256];
    if (vkd_find_bad_parameter(net, found, sizeof found))
        vkd_fail("%s: %s; the file is damaged, or another cfg's", weights, found);
}

void vkd_network_loaded(network *net, const char *cfg, const char *weights, int clear) {
    if (weights && *weights) refuse_bad_parameters(net, weights);
    vkd_plugin *plugin = allocate(1, sizeof *plugin);
    plugin->cfg_path = copy_text(cfg);
    plugin->weights_path = copy_text(weights);
    plugin->clear = clear != 0;
    plugin->seen = *net->seen;
    net->vkd = plugin;
    vkd_set_next_load(get_current_batch(net) + 1);
}

void vkd_free(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin) return;
    vkd_unpin(net);
    vkd_taps_of(net)->close(plugin);
    for (int i = 0; i < plugin->tap_count; ++i)
        vkd_tap_free(plugin->taps[i]);
    free(plugin->taps);
    free(plugin->teacher_layer);
    vkd_teacher_free(plugin->teacher);
    vkd_teacher_input_free(plugin);
    vkd_cfg_free(&plugin->cfg);
    free(plugin->cfg_path);
    free(plugin->weights_path);
    free(plugin);
    net->vkd = NULL;
}

// ---- attaching
// ----------------------------------------------------------------------------------------------

__attribute__((noreturn)) static void fail_with(const vkd_error *err) {
    vkd_fail("%s", err->text);
}

static void choose_teacher(vkd_plugin *plugin) {
    const vkd_run *run = vkd_run_options();
    plugin->teacher_cfg = run->teacher_cfg ? run->teacher_cfg : plugin->cfg.teacher_cfg;
    plugin->teacher_weights = run->teacher_weights ? run->teacher_weights : plugin->cfg.teacher_weights;
    if (plugin->only_shapes && plugin->teacher_cfg) return;
    if (!plugin->teacher_cfg != !plugin->teacher_weights)
        vkd_fail("%s: a teacher's %s is named but not its %s; give both, in [net] or as flags",
                 plugin->cfg.path, plugin->teacher_cfg ? "cfg" : "weights",
                 plugin->teacher_cfg ? "weights (teacher_weights)" : "cfg (teacher_cfg)");
}

// Named in the cfg, a file is missed with the cfg's name in front.
static void check_readable(const vkd_plugin *plugin, const char *path, const char *key, const char *flag) {
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    else if (flag)
        vkd_fail("-%s: %s: %s", key, path, strerror(errno));
    else
        vkd_fail("%s: [net] %s: %s: %s", plugin->cfg.path, key, path, strerror(errno));
}

// On the host or, of a frozen teacher, on the device alone.
static bool has_output(const layer *l) {
#ifdef GPU
    if (l->output_gpu) return true;
#endif
    return l->output != NULL;
}

bool vkd_has_feature_map(const layer *l) {
    switch (l->type) {
    case YOLO:
    case REGION:
    case DETECTION:
    case COST:
    case SOFTMAX:
    case LOGXENT:
    case ISEG:
        return false;
    default:
        return has_output(l) && l->out_w > 0 && l->out_h > 0 && l->out_c > 0 &&
               (long long)l->out_w * l->out_h * l->out_c == l->outputs;
    }
}

static vkd_tap_shape shape_of(const layer *student, const layer *teacher, int batch) {
    return (vkd_tap_shape){
        .batch = batch,
        .k = student->out_c,
        .h = student->out_h,
        .w = student->out_w,
        .n = teacher->out_c,
        .th = teacher->out_h,
        .tw = teacher->out_w,
    };
}

// The teacher's layers as absolute indices; returns how many layers it must keep.
static int resolve_teacher_layers(vkd_plugin *plugin) {
    int count = vkd_count_layers(plugin->teacher_cfg), keep = 0;
    for (int i = 0; i < plugin->cfg.tap_count; ++i) {
        int written = plugin->cfg.taps[i].teacher_from, layer = written < 0 ? count + written : written;
        vkd_error err;
        if (count < 1) {
            vkd_tap_error(&err, &plugin->cfg, i, "teacher_from", "found %d; the teacher %s has no layers",
                          written, plugin->teacher_cfg);
            fail_with(&err);
        }
        if (layer < 0 || layer >= count) {
            vkd_tap_error(&err, &plugin->cfg, i, "teacher_from",
                          "found %d; the teacher %s has %d layers, expected %d to %d", written,
                          plugin->teacher_cfg, count, -count, count - 1);
            fail_with(&err);
        }
        plugin->teacher_layer[i] = layer;
        if (layer >= keep) keep = layer + 1;
    }
    return keep;
}

static int first_trained_layer(const network *net) {
    for (int i = net->n - 1; i >= 0; --i)
        if (net->layers[i].stopbackward) return i + 1;
    return 0;
}

static bool has_truth_boxes(const network *net) {
    const layer *last = &net->layers[net->n - 1];
    return vkd_is_detector(net) && (last->type != REGION || last->coords == 4);
}

static void check_student_layer(const vkd_plugin *plugin, const network *net, int tap) {
    const vkd_tap_options *o = &plugin->cfg.taps[tap];
    vkd_error err;
    err.text[0] = 0;
    if (o->from >= net->n)
        vkd_tap_error(&err, &plugin->cfg, tap, "from", "found %d; the student has %d layers", o->from,
                      net->n);
    else if (!vkd_has_feature_map(&net->layers[o->from]) || !net->layers[o->from].delta)
        vkd_tap_error(&err, &plugin->cfg, tap, "from",
                      "layer %d is [%s], which has no feature map to learn; expected a layer before the head",
                      o->from, get_layer_string(net->layers[o->from].type));
    else if (o->foreground > 0 && !vkd_is_detector(net))
        vkd_tap_error(&err, &plugin->cfg, tap, "foreground",
                      "found %g; a network that ends in [%s] has no truth boxes, expected 0", o->foreground,
                      get_layer_string(net->layers[net->n - 1].type));
    else if (o->foreground > 0 && net->layers[net->n - 1].type == REGION &&
             net->layers[net->n - 1].coords != 4)
        vkd_tap_error(&err, &plugin->cfg, tap, "foreground",
                      "found %g; the boxes of this [region] have %d coordinates, expected 0 or coords=4",
                      o->foreground, net->layers[net->n - 1].coords);
    else if (o->mask_padding && !vkd_is_detector(net))
        vkd_tap_error(&err, &plugin->cfg, tap, "mask_padding",
                      "found 1; the pictures of a network that ends in [%s] have no padding, expected 0",
                      get_layer_string(net->layers[net->n - 1].type));
    else if (o->from < first_trained_layer(net))
        vkd_tap_error(&err, &plugin->cfg, tap, "from",
                      "layer %d is not trained: stopbackward=1 stands behind it", o->from);
    if (err.text[0]) fail_with(&err);
}

static void check_teacher_layer(const vkd_plugin *plugin, int tap) {
    const vkd_tap_options *o = &plugin->cfg.taps[tap];
    const layer *l = &plugin->teacher->layers[plugin->teacher_layer[tap]];
    vkd_error err;
    if (!vkd_has_feature_map(l)) {
        vkd_tap_error(
            &err, &plugin->cfg, tap, "teacher_from",
            "layer %d of the teacher is [%s], which has no feature map; expected a layer before a head",
            plugin->teacher_layer[tap], get_layer_string(l->type));
        fail_with(&err);
    }
    if (o->whiten.rank > l->out_c) {
        vkd_tap_error(&err, &plugin->cfg, tap, "rank", "found %d; the teacher's layer has %d channels",
                      o->whiten.rank, l->out_c);
        fail_with(&err);
    }
}

static void check_channels(const vkd_plugin *plugin, int tap, vkd_tap_shape shape) {
    if (plugin->cfg.taps[tap].map != VKD_OPTION_MAP_IDENTITY || shape.n == shape.k) return;
    vkd_error err;
    vkd_tap_error(&err, &plugin->cfg, tap, "map",
                  "identity wants equal channels on both sides; the student's layer has %d, the teacher's %d",
                  shape.k, shape.n);
    fail_with(&err);
}

// P, its gradient, momentum and base; and a covariance in float64 where targets are whitened.
static void check_memory(const vkd_plugin *plugin, int tap, vkd_tap_shape shape) {
    double n = shape.n, k = shape.k, memory = vkd_machine_memory();
    bool whitens = plugin->cfg.taps[tap].whiten.mode == VKD_OPTION_MODE_WHITEN;
    double bytes = 4 * n * k * sizeof(float) + (whitens ? n * n * sizeof(double) : 0);
    if (bytes <= memory) return;
    vkd_error err;
    vkd_tap_error(&err, &plugin->cfg, tap, "teacher_from",
                  "a projection of %d x %d needs at least %.4g MB, and the machine has %.4g MB", shape.n,
                  shape.k, bytes / 1e6, memory / 1e6);
    fail_with(&err);
}

// One line a tap, like Darknet's line a layer.
static void print_tap(const vkd_plugin *plugin, int i) {
    const vkd_tap *tap = plugin->taps[i];
    const vkd_tap_options *o = &tap->options;
    const vkd_tap_shape *s = &tap->shape;
    fprintf(stderr,
            "  vkd tap %d  student %3d %4d x%4d x%4d -> teacher %3d %4d x%4d x%4d  P %d x %d %s, %s, ", i,
            o->from, s->w, s->h, s->k, plugin->teacher_layer[i], s->tw, s->th, s->n, s->n, s->k,
            vkd_option_word("map", o->map), vkd_option_word("mode", o->whiten.mode));
    if (o->has_weight)
        fprintf(stderr, "weight %g", o->weight);
    else
        fprintf(stderr, "ratio %g", o->ratio);
    if (s->n < s->k)
        fprintf(stderr, "; %d of the student's %d directions are not supervised", s->k - s->n, s->k);
    fprintf(stderr, "\n");
}

static void check_half(const vkd_plugin *plugin, const network *net) {
    const char *missing = plugin->cfg.teacher_half ? vkd_half_is_missing(net) : NULL;
    vkd_error err;
    if (!missing) return;
    vkd_net_error(&err, &plugin->cfg, "teacher_half", "found 1 in %s", missing);
    fail_with(&err);
}

static const char *precision(const vkd_plugin *plugin, const network *net) {
    if (!plugin->cfg.teacher_half) return "";
    return vkd_is_on_device(net) ? ", convolutions in half precision"
                                 : ", convolutions rounded to half precision";
}

// Its first `keep` layers.
static void load_teacher(vkd_plugin *plugin, const network *net, int keep) {
    vkd_error err;
    const char *weights = plugin->only_shapes ? NULL : plugin->teacher_weights;
    check_half(plugin, net);
    if (weights && vkd_hash_file(weights, &plugin->teacher_hash, &err)) fail_with(&err);
    fprintf(stderr, "Teacher %s, layers 0 to %d%s:\n", plugin->teacher_cfg, keep - 1, precision(plugin, net));
    plugin->teacher =
        vkd_teacher_load(plugin->teacher_cfg, weights, keep, net, plugin->cfg.teacher_resize != 0);
    if (plugin->cfg.teacher_half) vkd_teacher_to_half(plugin->teacher, weights);
    vkd_teacher_keep(plugin->teacher, plugin->teacher_layer, plugin->cfg.tap_count);
    if (plugin->cfg.teacher_resize) vkd_teacher_input_make(plugin);
}

static void make_taps(network *net, vkd_plugin *plugin) {
    int count = plugin->cfg.tap_count;
    // NOLINTNEXTLINE(bugprone-sizeof-expression) an array of pointers
    plugin->taps = allocate((size_t)count, sizeof *plugin->taps);
    plugin->teacher_layer = allocate((size_t)count, sizeof *plugin->teacher_layer);
    for (int i = 0; i < count; ++i) {
        vkd_tap_options *o = &plugin->cfg.taps[i];
        if (!vkd_tap_sets(o, "foreground") && !has_truth_boxes(net)) o->foreground = 0;
        check_student_layer(plugin, net, i);
    }
    load_teacher(plugin, net, resolve_teacher_layers(plugin));
    for (int i = 0; i < count; ++i) {
        const vkd_tap_options *o = &plugin->cfg.taps[i];
        check_teacher_layer(plugin, i);
        vkd_tap_shape shape =
            shape_of(&net->layers[o->from], &plugin->teacher->layers[plugin->teacher_layer[i]], net->batch);
        check_channels(plugin, i, shape);
        check_memory(plugin, i, shape);
        vkd_status status = vkd_tap_create(&plugin->taps[i], o, shape, vkd_run_options()->seed, (uint64_t)i);
        if (status)
            vkd_fail("%s:%d: [vkd_projection]: the tap cannot be made: %s", plugin->cfg.path, o->line,
                     status == VKD_OUT_OF_MEMORY ? "no memory" : "sizes out of range");
        plugin->tap_count = i + 1;
        print_tap(plugin, i);
    }
    vkd_taps_of(net)->open(net);
}

// Of the layers and the vkd sections: what stands in [net] (a longer schedule, another batch) may change
// between a checkpoint and its resumption.
static void hash_cfg(vkd_plugin *plugin) {
    vkd_error err;
    unsigned char *text;
    size_t bytes, sections = 0, start = 0;
    if (vkd_file_read(plugin->cfg_path, &text, &bytes, &err)) fail_with(&err);
    size_t first = vkd_cfg_mark((const char *)text, bytes);
    for (size_t i = first; i < bytes && sections < 2; ++i)
        if (text[i] == '[' && (i == first || text[i - 1] == '\n') && ++sections == 2) start = i;
    plugin->cfg_hash = vkd_hash(VKD_HASH_START, text + start, bytes - start);
    free(text);
}

// False: this network has no taps to train.
static bool has_taps(vkd_plugin *plugin) {
    if (!plugin->cfg.tap_count) {
        if (vkd_run_options()->teacher_cfg)
            vkd_fail("%s: a teacher is named but there is no [vkd_projection] to learn from it",
                     plugin->cfg.path);
        return false;
    }
    choose_teacher(plugin);
    if (!plugin->teacher_cfg)
        fprintf(stderr, "%s: no teacher is named, so the vkd sections do nothing\n", plugin->cfg.path);
    return plugin->teacher_cfg != NULL;
}

// What a checkpoint's sidecar keeps, where the run goes on from one.
static void resume(network *net, vkd_plugin *plugin) {
    if (!plugin->weights_path || plugin->clear) return;
    plugin->resumed = vkd_sidecar_load(net, plugin->weights_path);
    vkd_parameters_push(net); // their momentum
    if (plugin->resumed || plugin->only_looks || !plugin->tap_count || !plugin->seen) return;
    char *path = allocate(strlen(plugin->weights_path) + sizeof ".vkd", 1);
    sprintf(path, "%s.vkd", plugin->weights_path);
    fprintf(stderr, "%s: %s; the projections start afresh\n", path,
            access(path, F_OK) ? "not there" : "of a run without taps");
    free(path);
}

void vkd_attach(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || plugin->attached) return;
    plugin->attached = true;
    vkd_error err;
    if (vkd_cfg_read(plugin->cfg_path, &plugin->cfg, &err)) fail_with(&err);
    if (!has_taps(plugin)) {
        vkd_refuse_unused_calibration(plugin);
        if (!plugin->keeps_momentum) return;
        hash_cfg(plugin);
        resume(net, plugin);
        return;
    }
    check_readable(plugin, plugin->teacher_cfg, "teacher_cfg", vkd_run_options()->teacher_cfg);
    if (!plugin->only_shapes)
        check_readable(plugin, plugin->teacher_weights, "teacher_weights",
                       vkd_run_options()->teacher_weights);
    hash_cfg(plugin);
    make_taps(net, plugin);
    if (plugin->only_shapes) return;
    vkd_refuse_unused_calibration(plugin);
    resume(net, plugin);
    if (vkd_needs_calibration(net) && vkd_run_options()->calibration)
        vkd_calibration_read(net, vkd_run_options()->calibration);
    else if (vkd_needs_calibration(net))
        vkd_calibrate(net, vkd_run_options()->data);
    vkd_taps_of(net)->push(net);
    vkd_print_whitening(plugin);
}

void vkd_choose_locations(const network *net, size_t batch, int first, const float *truth) {
    vkd_plugin *plugin = vkd_of(net);
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        const vkd_tap_options *o = &tap->options;
        int h = tap->shape.h, w = tap->shape.w;
        if (o->mask_padding) vkd_padding_mask(batch, first, net->batch, h, w, tap->mask);
        if (truth && o->foreground > 0)
            vkd_foreground_weights(truth, net->batch, net->truths / 5, h, w, o->foreground,
                                   o->mask_padding ? tap->mask : NULL,
                                   vkd_tap_weighs(o) ? tap->emphasis : tap->mask);
    }
}
