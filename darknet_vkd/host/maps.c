// darknet vkd maps: where student and teacher are active in a picture, and where the projection leaves them
// apart.
#define _POSIX_C_SOURCE 200809L
#include "host/maps.h"

#include "host/arguments.h"
#include "host/heatmap.h"
#include "host/hooks.h"
#include "host/pictures.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/finite.h"
#include "numerics/resample.h"

#include "network.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) vkd_fail("no memory for the maps");
    return p;
}

// e (locations) = the root of the mean square over channels of x (channels,locations).
static float *energy_of(const float *x, int channels, int locations) {
    float *e = allocate((size_t)locations, sizeof *e);
    for (int j = 0; j < locations; ++j) {
        double sum = 0;
        for (int c = 0; c < channels; ++c) {
            double v = x[(size_t)c * (size_t)locations + (size_t)j];
            sum += v * v;
        }
        e[j] = (float)sqrt(sum / channels);
    }
    return e;
}

static void range_of(const float *x, int count, double *low, double *high) {
    *low = *high = x[0];
    for (int i = 1; i < count; ++i) {
        *low = fmin(*low, x[i]);
        *high = fmax(*high, x[i]);
    }
}

static double mean_of(const float *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; ++i)
        sum += x[i];
    return sum / count;
}

// One tap's features of one picture, all (channels,h * w) of the student's grid.
typedef struct features {
    float *student;   // (k,.) normalised
    float *projected; // (n,.) P student
    float *target;    // (n,.)
    float *residual;  // (n,.) projected - target
    double explained; // 1 - |residual|^2 / |target|^2, over the locations that count
} features;

static void free_features(features *f) {
    free(f->student);
    free(f->projected);
    free(f->target);
    free(f->residual);
}

// Statistics of a sidecar are taken as they are; without one, the picture's own stand for them.
static void look(vkd_tap *tap, const float *x, const float *t, bool resumed, int i, features *f) {
    const vkd_tap_shape *s = &tap->shape;
    size_t n = (size_t)s->n, k = (size_t)s->k, locations = (size_t)s->h * (size_t)s->w;
    f->student = allocate(k * locations, sizeof(float));
    f->projected = allocate(n * locations, sizeof(float));
    f->target = allocate(n * locations, sizeof(float));
    f->residual = allocate(n * locations, sizeof(float));
    vkd_status status = resumed ? vkd_tap_target(tap, t, f->target) : VKD_OK;
    // Normalises the student; a running average that takes the picture in is of no use any more.
    if (!status) status = vkd_tap_forward(tap, x, t);
    if (!status && !resumed) status = vkd_tap_target(tap, t, f->target);
    if (status)
        vkd_fail("vkd tap %d: %s", i,
                 status == VKD_NOT_FINITE ? "features are not finite; do the weights belong to their cfgs?"
                                          : "the target cannot be made");
    vkd_samples_scatter(&tap->samples, tap->X, s->k, f->student);
    vkd_projection_apply(&tap->projection, f->student, (int)locations, f->projected);
    double left = 0, all = 0;
    for (size_t j = 0; j < n * locations; ++j) {
        bool counts = !tap->mask || tap->mask[j % locations] != 0;
        f->residual[j] = f->projected[j] - f->target[j];
        if (!counts) continue;
        left += (double)f->residual[j] * f->residual[j];
        all += (double)f->target[j] * f->target[j];
    }
    f->explained = all > 0 ? 1 - left / all : 0;
}

// d = student / its mean - teacher / its mean: which of the two is more active here than elsewhere.
static float *difference_of(const float *student, const float *teacher, int h, int w, int th, int tw) {
    float *d = allocate((size_t)h * (size_t)w, sizeof *d);
    if (vkd_resample(teacher, 1, th, tw, d, h, w)) vkd_fail("the teacher's map cannot be resized");
    double a = mean_of(student, h * w), b = mean_of(d, h * w);
    for (int j = 0; j < h * w; ++j)
        d[j] = (float)((a > 0 ? student[j] / a : 0) - (b > 0 ? d[j] / b : 0));
    return d;
}

static void draw_before(vkd_sheet *sheet, const features *f, const float *t, const vkd_tap_shape *s) {
    double low, high;
    float *student = energy_of(f->student, s->k, s->h * s->w), *teacher = energy_of(t, s->n, s->th * s->tw);
    float *difference = difference_of(student, teacher, s->h, s->w, s->th, s->tw);
    range_of(student, s->h * s->w, &low, &high);
    vkd_sheet_heat(sheet, 0, 1, "before: student", student, s->h, s->w, low, high);
    range_of(teacher, s->th * s->tw, &low, &high);
    vkd_sheet_heat(sheet, 0, 2, "before: teacher", teacher, s->th, s->tw, low, high);
    range_of(difference, s->h * s->w, &low, &high);
    vkd_sheet_difference(sheet, 0, 3, "who is stronger", difference, s->h, s->w, fmax(-low, high));
    free(student);
    free(teacher);
    free(difference);
}

// One scale for the three, so that what is left can be compared with what was asked for.
static void draw_after(vkd_sheet *sheet, const features *f, const vkd_tap_shape *s) {
    static const char *const titles[] = {"after: student", "after: teacher", "what is left"};
    const float *const maps[] = {f->projected, f->target, f->residual};
    float *energy[3];
    double low = INFINITY, high = 0, a, b;
    for (int i = 0; i < 3; ++i) {
        energy[i] = energy_of(maps[i], s->n, s->h * s->w);
        range_of(energy[i], s->h * s->w, &a, &b);
        low = fmin(low, a);
        high = fmax(high, b);
    }
    for (int i = 0; i < 3; ++i) {
        vkd_sheet_heat(sheet, 1, i + 1, titles[i], energy[i], s->h, s->w, low, high);
        free(energy[i]);
    }
}

static void show_tap(const network *net, int i, bool resumed, image picture, vkd_frame place,
                     const char *directory) {
    const vkd_plugin *plugin = vkd_of(net);
    vkd_tap *tap = plugin->taps[i];
    const float *t = plugin->teacher->layers[plugin->teacher_layer[i]].output;
    printf("tap %d  student %d -> teacher %d  ", i, tap->options.from, plugin->teacher_layer[i]);
    if (tap->locations == 1) {
        printf("one sample a picture (pool=global): no map\n");
        return;
    }
    features f;
    look(tap, net->layers[tap->options.from].output, t, resumed, i, &f);
    size_t size = strlen(directory) + 32;
    char *path = allocate(size, 1), text[32];
    snprintf(path, size, "%s/tap%d.png", directory, i);
    snprintf(text, sizeof text, "explained %.0f%%", 100 * f.explained);
    vkd_sheet sheet = vkd_sheet_create(picture, place);
    vkd_sheet_picture(&sheet, 0, 0, "picture");
    draw_before(&sheet, &f, t, &tap->shape);
    draw_after(&sheet, &f, &tap->shape);
    vkd_sheet_legend(&sheet, 1, 0,
                     (const char *const[]){text, "before:", " a scale each", "after:", " one for all"}, 5);
    vkd_sheet_write(&sheet, path);
    printf("explained %.3f  %s\n", f.explained, path);
    vkd_sheet_free(&sheet);
    free_features(&f);
    free(path);
}

static vkd_frame run_both(network *net, char *picture) {
    vkd_plugin *plugin = vkd_of(net);
    vkd_frame place;
    vkd_pictures_load(net, &picture, 1, net->input, NULL, &place);
    size_t batch = get_current_batch(net) + 1;
    vkd_padding_set(batch, 0, place);
    vkd_choose_locations(net, batch, 0, NULL);
    net->train = 0; // both as they are used
    forward_network(net);
    vkd_teacher_look(net, plugin, net->input);
    return place;
}

void vkd_maps(int argc, char **argv) {
    const char *out = NULL;
    const vkd_flag flags[] = {{"-out", &out, NULL}};
    const vkd_arguments expected = {
        .command = "vkd maps",
        .usage = "CFG WEIGHTS IMAGE -out DIR [-seed N] [-teacher_cfg F] [-teacher_weights F]",
        .known = "-out, -seed, -teacher_cfg or -teacher_weights",
        .least = 3,
        .most = 3,
        .flags = flags,
        .flag_count = 1};
    char *files[3];
    vkd_read_arguments(&expected, argc, argv, files);
    if (!out) vkd_fail("usage: darknet %s %s", expected.command, expected.usage);
    vkd_need_taps(files[0], "there is nothing to show", true);
    vkd_run_always_seed();
    vkd_run_set_quiet(true);
    network *net = vkd_load_for_pictures(files[0], files[1], 1, 1);
    vkd_plugin *plugin = vkd_of(net);
    plugin->only_looks = true;
    vkd_attach(net);
    if (!plugin->resumed)
        fprintf(stderr, "%s.vkd: not there; P is its random start, and the statistics are this picture's\n",
                files[1]);
    vkd_frame place = run_both(net, files[2]);
    struct stat info;
    if (mkdir(out, 0777) && errno != EEXIST)
        vkd_fail("%s: the folder cannot be made: %s", out, strerror(errno));
    if (stat(out, &info) || !S_ISDIR(info.st_mode)) vkd_fail("%s: found a file; expected a folder", out);
    image picture = load_image(files[2], 0, 0, net->c);
    for (int i = 0; i < plugin->tap_count; ++i)
        show_tap(net, i, plugin->resumed, picture, place, out);
    if (fflush(stdout)) vkd_fail("standard output: %s", strerror(errno));
    free_image(picture);
    free_network(net);
}
