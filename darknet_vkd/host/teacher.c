#define _POSIX_C_SOURCE 200809L
#include "host/cfg_section.h"
#include "host/hooks.h"
#include "host/parameters.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/resample.h"

#include "list.h"
#include "network.h"
#include "option_list.h"
#include "parser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Darknet's parser takes nothing but a file name: what else a network shall be stands here while it is
// loaded.
typedef struct request {
    int layers;           // of a teacher: how many to keep; 0: no teacher is being loaded
    int batch;            // with subdivisions=1; 0: the cfg's own
    int most;             // with batch = 0: subdivisions=1 and no more than this in a batch; 0: the cfg's own
    int w, h;             // 0: the cfg's own
    int c;                // the only number of channels that will do; 0: the cfg's own
    size_t images_of_cfg; // out: batch * subdivisions as the cfg has them
} request;
static _Thread_local request loading;

int vkd_loads_teacher(void) {
    return loading.layers > 0;
}

int vkd_channels_wanted(void) {
    return loading.c;
}

static bool is_vkd_section(const node *at) {
    return !strncmp(((const cfg_section *)at->val)->type, "[vkd_", 5);
}

static void free_cfg_section(cfg_section *section) {
    free(section->type);
    for (node *at = section->options->front; at;) {
        node *next = at->next;
        kvp *pair = at->val;
        free(pair->key); // the value is in the same string
        free(pair);
        free(at);
        at = next;
    }
    free(section->options);
    free(section);
}

static node *take_out(list *sections, node *at) {
    node *next = at->next;
    if (at->prev)
        at->prev->next = next;
    else
        sections->front = next;
    if (next)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc) it does not know that a list is no ring
        next->prev = at->prev;
    else
        sections->back = at->prev;
    --sections->size;
    free_cfg_section(at->val);
    free(at);
    return next;
}

void vkd_divert_sections(list *sections) {
    int layer = -1; // [net]
    for (node *at = sections->front; at;) {
        bool behind_the_cut = loading.layers && layer >= loading.layers;
        if (is_vkd_section(at) || behind_the_cut) {
            at = take_out(sections, at);
        } else {
            at = at->next;
            ++layer;
        }
    }
}

int vkd_count_layers(const char *cfg_path) {
    char *path = strdup(cfg_path);
    if (!path) vkd_fail("%s: no memory", cfg_path);
    list *sections = read_cfg(path);
    vkd_divert_sections(sections);
    int count = sections->size - 1;
    for (node *at = sections->front; at;)
        at = take_out(sections, at); // NOLINT(clang-analyzer-unix.Malloc) as above
    free(sections);
    free(path);
    return count;
}

void vkd_net_parsed(network *net) {
    if (!loading.batch && !loading.most) return;
    loading.images_of_cfg = (size_t)net->batch * (size_t)net->subdivisions;
    if (loading.batch)
        net->batch = loading.batch;
    else if (net->batch > loading.most)
        net->batch = loading.most;
    net->subdivisions = 1;
    if (loading.w) {
        net->w = loading.w;
        net->h = loading.h;
    }
    if (net->w && net->h) net->inputs = net->w * net->h * net->c;
}

// W <- W s, b <- b - mean s with s = scale / (sqrt(var) + 1e-6), Darknet's own normalize_cpu.
static void fold_batch_norm(layer *l) {
    int per_filter = l->nweights / l->n;
    for (int f = 0; f < l->n; ++f) {
        float s = l->scales[f] / (sqrtf(l->rolling_variance[f]) + .000001f);
        for (int i = 0; i < per_filter; ++i)
            l->weights[(size_t)f * (size_t)per_filter + (size_t)i] *= s;
        l->biases[f] -= l->rolling_mean[f] * s;
    }
    l->batch_normalize = 0;
}

// A frozen convolution whose bias and activation can go into the last pass.
static bool may_be_fused(const layer *l) {
    return l->type == CONVOLUTIONAL && !l->batch_normalize && !vkd_is_rounded(l) &&
           (l->activation == LEAKY || l->activation == LINEAR);
}

// The same on the CPU; of no channels where there is none.
static vkd_convolution fused(const layer *l) {
    vkd_convolution s = vkd_convolution_of(l);
    if (!may_be_fused(l)) s.c = 0;
    return s;
}

size_t vkd_teacher_workspace(const layer *l) {
    const vkd_convolution s = vkd_is_rounded(l) ? vkd_convolution_of(l) : fused(l);
    size_t floats = vkd_convolution_forward_workspace(&s);
    if (!floats) floats = l->workspace_size / sizeof(float); // Darknet's is for its own way
    return floats + vkd_half_room(l);
}

void vkd_fold_batch_norms(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (vkd_is_plain_convolution(l) && l->batch_normalize) fold_batch_norm(l);
    }
}

static void make_inference_only(network *teacher) {
    vkd_fold_batch_norms(teacher);
    vkd_teacher_free_training(teacher);
    // All outputs at once are more than a device may have.
    if (!vkd_is_on_device(teacher)) vkd_teacher_keep(teacher, NULL, 0);
}

// A teacher's weights file may be longer than its cut network needs, so its length tells little about whose
// it is. Variances do: read from another cfg's place, one of many is negative.
static void check_parameters(const network *teacher, const char *weights_path) {
    char found[256];
    if (vkd_find_bad_parameter(teacher, found, sizeof found))
        vkd_fail("%s: the teacher's %s; the file is damaged, or another cfg's", weights_path, found);
}

network *vkd_load_for_pictures(char *cfg, char *weights, int count, int most) {
    loading = (request){.batch = count, .most = most};
    network *net = load_network(cfg, weights, 0);
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero) vkd_net_parsed has set it, of a [net] that was checked
    size_t batches = *net->seen / loading.images_of_cfg;
    loading = (request){0};
    // The schedules go by batches, which are now of another size.
    *net->seen = batches * (size_t)net->batch;
    return net;
}

network *vkd_teacher_load(const char *cfg_path, const char *weights_path, int layers, const network *student,
                          bool own_size) {
    char *cfg = strdup(cfg_path), *weights = strdup(weights_path ? weights_path : "");
    if (!cfg || !weights) vkd_fail("%s: no memory", cfg_path);
    loading = (request){.layers = layers, .batch = student->batch, .c = student->c};
    if (!own_size) {
        loading.w = student->w;
        loading.h = student->h;
    }
    network *teacher = parse_network_cfg(cfg);
    if (weights_path) load_weights(teacher, weights);
    loading = (request){0};
    if (weights_path) check_parameters(teacher, weights);
    make_inference_only(teacher);
    if (vkd_is_on_device(teacher)) vkd_teacher_to_device(teacher, cfg);
    free(cfg);
    free(weights);
    teacher->train = 0;
    return teacher;
}

bool vkd_teacher_may_join(const network *teacher, int i) {
    if (i < 1) return false;
    const layer *l = &teacher->layers[i], *above = l - 1;
    const vkd_convolution s = fused(above);
    return l->type == SHORTCUT && l->activation == LINEAR && l->alpha == 1 && l->beta == 1 &&
           l->w == l->out_w && l->h == l->out_h && l->c == l->out_c && l->index != i - 1 &&
           may_be_fused(above) && above->outputs == l->outputs &&
           (vkd_is_on_device(teacher) || vkd_convolution_forward_workspace(&s));
}

static bool convolve(const network *teacher, int i, const float *input) {
    const layer *l = &teacher->layers[i];
    const vkd_convolution s = fused(l);
    const vkd_ending ending = {
        .bias = l->biases,
        .epilogue = l->activation == LEAKY ? VKD_EPILOGUE_LEAKY : VKD_EPILOGUE_LINEAR,
        .residual = vkd_teacher_is_joined(teacher, i + 1) ? teacher->layers[l[1].index].output : NULL,
    };
    return vkd_convolution_forward(&s, l->weights, input, l->batch, l->output, &ending, teacher->workspace);
}

void vkd_teacher_run(network *teacher, int first, int end, float *input) {
    network net = *teacher;
    net.input = input;
    net.truth = NULL;
    net.train = 0;
    for (int i = first; i < end; ++i) {
        net.index = i;
        layer l = net.layers[i];
        if (!vkd_teacher_is_joined(&net, i) && !convolve(&net, i, net.input)) l.forward(l, net);
        net.input = l.output;
    }
}

void vkd_teacher_forward(network *teacher, float *input) {
    if (vkd_is_on_device(teacher))
        vkd_teacher_forward_on_device(teacher, input);
    else
        vkd_teacher_run(teacher, 0, teacher->n, input);
}

void vkd_teacher_input_make(vkd_plugin *plugin) {
    size_t floats = (size_t)plugin->teacher->inputs * (size_t)plugin->teacher->batch;
    plugin->teacher_input = calloc(floats, sizeof(float));
    if (!plugin->teacher_input) vkd_fail("no memory for the teacher's input");
    if (vkd_is_on_device(plugin->teacher)) plugin->teacher_input_gpu = vkd_device_copy_of(NULL, floats);
}

void vkd_teacher_input_free(vkd_plugin *plugin) {
    free(plugin->teacher_input);
    vkd_device_copy_free(plugin->teacher_input_gpu);
    plugin->teacher_input = plugin->teacher_input_gpu = NULL;
}

void vkd_teacher_look(const network *net, vkd_plugin *plugin, float *input) {
    network *teacher = plugin->teacher;
    float *seen = plugin->teacher_input ? plugin->teacher_input : input;
    if (plugin->teacher_input &&
        vkd_resample(input, net->batch * net->c, net->h, net->w, seen, teacher->h, teacher->w))
        vkd_fail("the teacher's input cannot be resized to %d x %d", teacher->w, teacher->h);
    vkd_teacher_forward(teacher,
                        vkd_is_on_device(teacher) ? vkd_teacher_input_on_device(net, plugin, input) : seen);
}

void vkd_teacher_free(network *teacher) {
    if (!teacher) return;
    vkd_teacher_let_go(teacher);
    free_network(teacher);
}

void vkd_teacher_resize(network *teacher, int w, int h) {
    vkd_teacher_let_go(teacher);
    loading = (request){.layers = teacher->n};
    resize_network(teacher, w, h);
    loading = (request){0};
    make_inference_only(teacher);
    if (vkd_is_on_device(teacher)) vkd_teacher_fit_workspace(teacher);
}
