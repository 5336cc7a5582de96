// darknet vkd dump: what a training step computes, as NumPy files, so that anyone can check it.
#define _POSIX_C_SOURCE 200809L
#include "host/dump.h"

#include "core/npy.h"
#include "core/schedule.h"
#include "host/arguments.h"
#include "host/hooks.h"
#include "host/pictures.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/finite.h"
#include "numerics/stiefel.h"

#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct request {
    char *data, *cfg, *weights;
    const char *out;
    int images; // 0: the cfg's own sub-batch
} request;

static request read_arguments(int argc, char **argv) {
    request r = {0};
    const vkd_flag flags[] = {{"-out", &r.out, NULL}, {"-images", NULL, &r.images}};
    const vkd_arguments expected = {
        .command = "vkd dump",
        .usage = "DATA CFG [WEIGHTS] -out DIR [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]",
        .known = "-out, -images, -seed, -teacher_cfg or -teacher_weights",
        .least = 2,
        .most = 3,
        .flags = flags,
        .flag_count = 2};
    char *files[3];
    vkd_read_arguments(&expected, argc, argv, files);
    if (!r.out) vkd_fail("usage: darknet %s %s", expected.command, expected.usage);
    r.data = files[0], r.cfg = files[1], r.weights = files[2];
    return r;
}

// What can be known before anything is loaded.
static void check_cfg(const char *path) {
    const vkd_run *run = vkd_run_options();
    vkd_cfg cfg;
    vkd_error err;
    if (vkd_cfg_read(path, &cfg, &err)) vkd_fail("%s", err.text);
    if (!cfg.tap_count) vkd_fail("%s: no [vkd_projection]; there is no step to dump", path);
    if (!run->teacher_cfg && !run->teacher_weights && !cfg.teacher_cfg && !cfg.teacher_weights)
        vkd_fail("%s: no teacher is named; expected teacher_cfg and teacher_weights in [net], or as flags",
                 path);
    vkd_cfg_free(&cfg);
}

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) vkd_fail("no memory for the dump");
    return p;
}

// ---- the step
// -----------------------------------------------------------------------------------------------

// The weights of a run that is at its end are looked at as in its last batch.
static void stay_within_the_run(network *net) {
    size_t last = net->max_batches > 0 ? (size_t)net->max_batches - 1 : 0;
    if (net->max_batches > 0 && get_current_batch(net) > last) *net->seen = last * (size_t)net->batch;
}

static bool has_ended(const network *net, const vkd_tap *tap) {
    return vkd_schedule_finished(&tap->options, get_current_batch((network *)net), (size_t)net->max_batches);
}

static void load_pictures(network *net, const vkd_picture_list *list) {
    vkd_frame *frames = allocate((size_t)net->batch, sizeof *frames);
    vkd_pictures_load(net, list->paths, net->batch, net->input, net->truth, frames);
    for (int i = 0; i < net->batch; ++i)
        vkd_padding_set(get_current_batch(net) + 1, i, frames[i]);
    free(frames);
}

// train_network_datum without its update. net->seen stays at the batch that is looked at.
static void step(network *net, const char *cfg) {
    const vkd_plugin *plugin = vkd_of(net);
    size_t seen = *net->seen;
    vkd_attach(net);
    bool over = true;
    for (int i = 0; i < plugin->tap_count; ++i)
        over = over && has_ended(net, plugin->taps[i]);
    if (over)
        vkd_fail("%s: every tap has ended by batch %zu (until=); there is no step to dump", cfg,
                 get_current_batch(net));
    *net->seen += (size_t)net->batch;
    net->train = 1;
    vkd_step_begin(net);
    forward_network(net);
    vkd_forward(net);
    backward_network(net);
    *net->seen = seen;
}

// ---- the files
// ----------------------------------------------------------------------------------------------

typedef struct output {
    const char *directory;
    char *path; // room for DIRECTORY/NAME.npy
    size_t path_size;
} output;

static void make_directory(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) && errno != EEXIST)
        vkd_fail("%s: the folder cannot be made: %s", path, strerror(errno));
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) vkd_fail("%s: found a file; expected a folder", path);
}

static const char *path_of(output *o, int tap, const char *name) {
    if (tap < 0)
        snprintf(o->path, o->path_size, "%s/%s.npy", o->directory, name);
    else
        snprintf(o->path, o->path_size, "%s/tap%d_%s.npy", o->directory, tap, name);
    return o->path;
}

// tap < 0: NAME.npy itself. One line on stdout tells what was written.
static void put(output *o, int tap, const char *name, const float *data, const int *shape, int dims) {
    const char *path = path_of(o, tap, name);
    if (vkd_npy_write(path, data, shape, dims)) vkd_fail("%s: cannot be written: %s", path, strerror(errno));
    char text[96] = "";
    size_t count = 1, used = 0;
    for (int i = 0; i < dims; ++i) {
        count *= (size_t)shape[i];
        used += (size_t)snprintf(text + used, sizeof text - used, i ? " x %d" : "%d", shape[i]);
    }
    float low = data[0], high = data[0];
    for (size_t i = 1; i < count; ++i) {
        if (data[i] < low) low = data[i];
        if (data[i] > high) high = data[i];
    }
    const char *file = path + strlen(o->directory) + 1;
    printf("%-20s %-20s %g .. %g%s\n", file, text, low, high,
           vkd_all_finite(data, count) ? "" : ", with values that are not finite");
}

// xi (n,k) = G - P G'P, where the constraint's normal part of G is nothing. For map=linear, which has no
// constraint, G itself. Of a wide P the projection holds V = P' and dL/dV, and xi is its tangent transposed.
static void tangent(const vkd_projection *p, float *xi) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    float *along_v = allocate(size, sizeof *along_v);
    double *work = allocate(vkd_stiefel_workspace(p->rows, p->cols), sizeof *work);
    if (p->map == VKD_OPTION_MAP_LINEAR)
        memcpy(along_v, p->gradient, size * sizeof *along_v);
    else if (vkd_stiefel_tangent_gradient(p->V, p->gradient, along_v, p->rows, p->cols, work))
        vkd_fail("the gradient of P is not finite");
    for (int i = 0; i < p->n; ++i)
        for (int j = 0; j < p->k; ++j)
            xi[(size_t)i * (size_t)p->k + (size_t)j] = p->n < p->k
                                                           ? along_v[(size_t)j * (size_t)p->n + (size_t)i]
                                                           : along_v[(size_t)i * (size_t)p->k + (size_t)j];
    free(along_v);
    free(work);
}

static void check_finite(const vkd_tap *tap, int i, const float *x, const float *t) {
    const vkd_tap_shape *s = &tap->shape;
    size_t student = (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    size_t teacher = (size_t)s->batch * (size_t)s->n * (size_t)s->th * (size_t)s->tw;
    const char *whose = !vkd_all_finite(x, student)   ? "student"
                        : !vkd_all_finite(t, teacher) ? "teacher"
                                                      : NULL;
    if (whose) vkd_fail("vkd tap %d: the %s's features are not finite; there is no step to dump", i, whose);
}

// A file that this tap does not have: an earlier dump's would be taken for this one's.
static void put_or_remove(output *o, int tap, const char *name, const float *data, const int *shape,
                          int dims) {
    if (data)
        put(o, tap, name, data, shape, dims);
    else
        remove(path_of(o, tap, name));
}

static void put_tap(output *o, const network *net, int i) {
    const vkd_plugin *plugin = vkd_of(net);
    vkd_tap *tap = plugin->taps[i];
    const vkd_tap_shape *s = &tap->shape;
    const float *x = net->layers[tap->options.from].output;
    const float *t = plugin->teacher->layers[plugin->teacher_layer[i]].output;
    bool pooled = tap->options.pool == VKD_OPTION_POOL_GLOBAL;
    int h = pooled ? 1 : s->h, w = pooled ? 1 : s->w;
    float loss = (float)(tap->loss * s->batch); // of the images together, so that dstudent is its derivative
    float *T = allocate((size_t)s->batch * (size_t)s->n * (size_t)tap->locations, sizeof *T);
    float *P = allocate((size_t)s->n * (size_t)s->k, sizeof *P),
          *xi = allocate((size_t)s->n * (size_t)s->k, sizeof *xi);
    if (vkd_tap_target(tap, t, T)) vkd_fail("vkd tap %d: the target cannot be made", i);
    vkd_projection_matrix(&tap->projection, P);
    tangent(&tap->projection, xi);
    put(o, i, "student", x, (int[]){s->batch, s->k, s->h, s->w}, 4);
    put(o, i, "teacher", t, (int[]){s->batch, s->n, s->th, s->tw}, 4);
    put(o, i, "target", T, (int[]){s->batch, s->n, h, w}, 4);
    put(o, i, "P", P, (int[]){s->n, s->k}, 2);
    put(o, i, "loss", &loss, (int[]){1}, 1);
    put(o, i, "dstudent", tap->dx, (int[]){s->batch, s->k, s->h, s->w}, 4);
    put(o, i, "xi", xi, (int[]){s->n, s->k}, 2);
    float gain = (float)tap->student.gain;
    put_or_remove(o, i, "emphasis", tap->emphasis, (int[]){s->batch, h, w}, 3);
    put_or_remove(o, i, "mask", tap->mask, (int[]){s->batch, h, w}, 3);
    put_or_remove(o, i, "gain", tap->student.norm == VKD_OPTION_STUDENT_GAIN ? &gain : NULL, (int[]){1}, 1);
    free(T);
    free(P);
    free(xi);
}

static void write_files(const network *net, const char *directory) {
    const vkd_plugin *plugin = vkd_of(net);
    output o = {.directory = directory, .path_size = strlen(directory) + 64};
    o.path = allocate(o.path_size, 1);
    for (int i = 0; i < plugin->tap_count; ++i)
        check_finite(plugin->taps[i], i, net->layers[plugin->taps[i]->options.from].output,
                     plugin->teacher->layers[plugin->teacher_layer[i]].output);
    make_directory(directory);
    put(&o, -1, "input", net->input, (int[]){net->batch, net->c, net->h, net->w}, 4);
    for (int i = 0; i < plugin->tap_count; ++i)
        if (has_ended(net, plugin->taps[i]))
            fprintf(stderr, "vkd tap %d has ended by batch %zu (until=); it is left out\n", i,
                    get_current_batch((network *)net));
        else
            put_tap(&o, net, i);
    free(o.path);
    if (fflush(stdout)) vkd_fail("standard output: %s", strerror(errno));
}

void vkd_dump(int argc, char **argv) {
    request r = read_arguments(argc, argv);
    check_cfg(r.cfg);
    vkd_picture_list list = vkd_picture_list_read(r.data);
    if (r.images > list.count)
        vkd_fail("vkd dump: -images: found %d; %s has %d pictures", r.images, list.file, list.count);
    vkd_run_always_seed();
    vkd_run_set_quiet(true);
    network *net = vkd_load_for_pictures(r.cfg, r.weights, r.images, list.count);
    stay_within_the_run(net);
    vkd_run_set_data(r.data);
    vkd_attach(net); // it may calibrate, on pictures of its own
    load_pictures(net, &list);
    step(net, r.cfg);
    fprintf(stderr, "One step on the first %d of %d pictures, seed %llu\n", net->batch, list.count,
            (unsigned long long)vkd_run_options()->seed);
    write_files(net, r.out);
    vkd_picture_list_free(&list);
    free_network(net);
}
