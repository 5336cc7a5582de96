// darknet vkd check: the taps of a cfg and what they cost, before anything is trained.
#define _POSIX_C_SOURCE 200809L
#include "host/check.h"

#include "host/arguments.h"
#include "host/plugin.h"
#include "host/run.h"

#include "layer.h"
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

double vkd_forward_work(const network *net) {
    double sum = 0;
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        double places = (double)l->out_w * l->out_h;
        if (l->type == CONVOLUTIONAL) sum += (double)l->nweights * places;
        if (l->type == DECONVOLUTIONAL) sum += (double)l->nweights * l->w * l->h;
        if (l->type == LOCAL) sum += (double)l->n * l->c * l->size * l->size * places;
        if (l->type == CONNECTED) sum += (double)l->inputs * l->outputs;
    }
    return sum;
}

// "8 convolutional 10x10x64 /16": the grid, the channels, and how many pixels of the input a cell spans.
static void describe_layer(char *text, size_t size, int i, const layer *l, int input_w) {
    double stride = (double)input_w / l->out_w;
    snprintf(text, size, "%3d %s %dx%dx%d /%.3g", i, get_layer_string(l->type), l->out_w, l->out_h, l->out_c,
             stride);
}

static void describe_resampling(char *text, size_t size, const vkd_tap *tap) {
    const vkd_tap_shape *s = &tap->shape;
    if (tap->locations == 1 && tap->options.pool == VKD_OPTION_POOL_GLOBAL)
        snprintf(text, size, "mean of all");
    else if (s->h == s->th && s->w == s->tw)
        snprintf(text, size, "none");
    else if (s->th % s->h == 0 && s->tw % s->w == 0)
        snprintf(text, size, "mean of %d x %d", s->tw / s->w, s->th / s->h);
    else
        snprintf(text, size, "bilinear");
}

static void print_taps(const network *net) {
    const vkd_plugin *plugin = vkd_of(net);
    printf("%-3s %-32s %-32s %-12s %-10s %s\n", "tap", "  student: layer, map, stride",
           "  teacher: layer, map, stride", "P", "map", "resampling");
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_tap *tap = plugin->taps[i];
        char student[96], teacher[96], matrix[32], grid[32];
        describe_layer(student, sizeof student, tap->options.from, &net->layers[tap->options.from], net->w);
        describe_layer(teacher, sizeof teacher, plugin->teacher_layer[i],
                       &plugin->teacher->layers[plugin->teacher_layer[i]], plugin->teacher->w);
        snprintf(matrix, sizeof matrix, "%d x %d", tap->shape.n, tap->shape.k);
        describe_resampling(grid, sizeof grid, tap);
        printf("%-3d %-32s %-32s %-12s %-10s %s\n", i, student, teacher, matrix,
               vkd_option_word("map", tap->options.map), grid);
    }
}

typedef struct cost {
    double parameters, bytes, work; // work: multiply-adds an image
} cost;

static void print_cost(const char *name, cost c, double step) {
    printf("%-26s %12.0f %9.1f MB %13.2f M %14.1f %%\n", name, c.parameters, c.bytes / 1e6, c.work / 1e6,
           100 * c.work / step);
}

static cost cost_of_teacher(const vkd_plugin *plugin) {
    const network *teacher = plugin->teacher;
    cost c = {.bytes = (double)vkd_teacher_bytes(teacher), .work = vkd_forward_work(teacher)};
    for (int i = 0; i < teacher->n; ++i)
        if (teacher->layers[i].type == CONVOLUTIONAL)
            c.parameters += teacher->layers[i].nweights + teacher->layers[i].n;
    if (plugin->teacher_input) c.bytes += 4.0 * teacher->inputs * teacher->batch;
    return c;
}

static void print_costs(const network *net) {
    const vkd_plugin *plugin = vkd_of(net);
    double step = 3 * vkd_forward_work(net); // forward, the weights' gradient, the input's gradient
    cost all = {0};
    printf("\n%-26s %12s %12s %15s %16s\n", "extra, while training", "parameters", "memory", "work an image",
           "of a step");
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_tap *tap = plugin->taps[i];
        char name[32];
        cost c = {(double)tap->shape.n * tap->shape.k, (double)vkd_tap_bytes(tap),
                  vkd_tap_work(tap, net->subdivisions)};
        snprintf(name, sizeof name, "tap %d", i);
        print_cost(name, c, step);
        all = (cost){all.parameters + c.parameters, all.bytes + c.bytes, all.work + c.work};
    }
    char name[48];
    cost c = cost_of_teacher(plugin);
    snprintf(name, sizeof name, "teacher, layers 0 to %d", plugin->teacher->n - 1);
    print_cost(name, c, step);
    print_cost("together", (cost){all.parameters + c.parameters, all.bytes + c.bytes, all.work + c.work},
               step);
    printf("\nOf batches of %d x %d pictures of %d x %d. Work is in multiply-adds; a step of the student "
           "alone is "
           "%.2f M an image,\nthree times its forward pass.\n",
           net->subdivisions, net->batch, net->w, net->h, step / 1e6);
    if (net->layers[net->n - 1].random)
        printf("With random=1 sizes go to 1.4 times that: up to twice the memory of all but P and the "
               "weights.\n");
}

void vkd_check(int argc, char **argv) {
    const vkd_arguments expected = {.command = "vkd check",
                                    .usage = "CFG [-teacher_cfg F]",
                                    .known = "-teacher_cfg",
                                    .least = 1,
                                    .most = 1};
    char *cfg;
    vkd_read_arguments(&expected, argc, argv, &cfg);
    vkd_need_taps(cfg, "there is nothing to check", false);
    vkd_run_always_seed();
    network *net = load_network(cfg, NULL, 0);
    vkd_of(net)->only_shapes = true;
    vkd_attach(net);
    print_taps(net);
    print_costs(net);
    if (fflush(stdout)) vkd_fail("standard output: %s", strerror(errno));
    free_network(net);
}
