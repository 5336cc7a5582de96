// For the programs that time a step: networks with random weights on random pictures, and what they compute.
#ifndef VKD_TESTS_BENCH_STEP_NETWORKS_H
#define VKD_TESTS_BENCH_STEP_NETWORKS_H

#include "host/parameters.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/rng.h"

#include "network.h"
#include "parser.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void normal(vkd_rng *rng, float *x, size_t n, double mean, double scale) {
    for (size_t i = 0; x && i < n; ++i)
        x[i] = (float)(mean + scale * vkd_rng_normal(rng));
}

static void make_weights(char *cfg, char *path) {
    network *net = parse_network_cfg(cfg);
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 2, 3);
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        normal(&rng, l->weights, (size_t)l->nweights, 0, sqrt(2.0 / (l->size * l->size * l->c / l->groups)));
        for (int f = 0; f < l->n && l->batch_normalize; ++f)
            l->rolling_variance[f] = 1;
    }
    vkd_parameters_push(net); // of a device's network its weights are written
    save_weights(net, path);
    free_network(net);
}

// cfg with another batch and size, one sub-batch, as PATH.
static char *derive_cfg(const char *cfg, int batch, int side) {
    static char path[] = "/tmp/bench_step_XXXXXX";
    FILE *in = fopen(cfg, "r"), *out = in ? fdopen(mkstemp(path), "w") : NULL;
    char line[4096];
    if (!out) vkd_fail("%s: cannot be read or copied", cfg);
    while (fgets(line, sizeof line, in)) {
        if (!strncmp(line, "batch=", 6))
            fprintf(out, "batch=%d\n", batch);
        else if (!strncmp(line, "subdivisions=", 13))
            fprintf(out, "subdivisions=1\n");
        else if (side && (!strncmp(line, "width=", 6) || !strncmp(line, "height=", 7)))
            fprintf(out, "%.*s=%d\n", (int)strcspn(line, "="), line, side);
        else
            fputs(line, out);
    }
    fclose(in);
    fclose(out);
    return path;
}

// Pictures and boxes.
static void fill(network *net) {
    vkd_rng rng;
    vkd_rng_seed(&rng, 4, 5, 6);
    normal(&rng, net->input, (size_t)net->inputs * (size_t)net->batch, 0.5, 0.2);
}

// Other places at every step, as other pictures would have them: always the same few locations would leave
// most of the cross-covariance zero.
static void place_objects(network *net) {
    static vkd_rng rng;
    static bool seeded;
    if (!seeded) vkd_rng_seed(&rng, 7, 8, 9);
    seeded = true;
    for (int b = 0; b < net->batch; ++b)
        for (int i = 0; i < 4 && 5 * i + 4 < net->truths; ++i) {
            float *box = net->truth + (size_t)b * (size_t)net->truths + 5 * i;
            box[0] = 0.1f + 0.8f * (float)vkd_rng_uniform(&rng),
            box[1] = 0.15f + 0.7f * (float)vkd_rng_uniform(&rng);
            box[2] = 0.2f, box[3] = 0.3f, box[4] = 0;
        }
}

// Multiplications and additions of a convolution's product, forward, the whole batch: 1e9.
static double layer_gflop(const layer *l) {
    return l->type == CONVOLUTIONAL ? 2e-9 * l->nweights * l->out_h * l->out_w * l->batch : 0;
}

static double gflop(const network *net) {
    double sum = 0;
    for (int i = 0; i < net->n; ++i)
        sum += layer_gflop(&net->layers[i]);
    return sum;
}

// Backward, the first layer's input needs no gradient.
static double backward_gflop(const network *net) {
    return 2 * gflop(net) - layer_gflop(&net->layers[0]);
}

// Least of memory, in MiB, of any program that keeps what the two networks need: the student's weights, and
// each of its outputs, since backward reads them; the teacher's weights, and the two neighbouring outputs
// that are largest together.
static void print_least(const network *student, const network *teacher) {
    const network *const nets[] = {student, teacher};
    double weights[2] = {0}, outputs = 0, pair = 0;
    for (int n = 0; n < 2; ++n)
        for (int i = 0; i < nets[n]->n; ++i)
            if (nets[n]->layers[i].type == CONVOLUTIONAL)
                weights[n] += nets[n]->layers[i].nweights + nets[n]->layers[i].n;
    for (int i = 0; i < student->n; ++i)
        outputs += (double)student->layers[i].outputs * student->batch;
    for (int i = 0; i < teacher->n; ++i) {
        int before = i ? teacher->layers[i - 1].outputs : 0;
        pair = fmax(pair, (double)(before + teacher->layers[i].outputs) * teacher->batch);
    }
    const double mib = sizeof(float) / 1048576.0;
    printf("least %.1f %.1f %.1f %.1f\n", mib * weights[0], mib * outputs, mib * weights[1], mib * pair);
}

// The network of a cfg with a teacher, ready for its first step. The teacher's weights are written first, at
// random, where they are missing: with untrained variances its features are not finite.
static network *load_pair(char *cfg, char *teacher_cfg, char *teacher_weights, int batch, int side) {
    if (access(teacher_weights, R_OK)) make_weights(teacher_cfg, teacher_weights);
    char *flags[] = {"bench_step",    "-teacher_cfg", teacher_cfg, "-teacher_weights",
                     teacher_weights, "-seed",        "1",         NULL};
    vkd_run_parse(7, flags);
    vkd_run_set_quiet(true);
    char *derived = derive_cfg(cfg, batch, side);
    network *net = load_network(derived, NULL, 0);
    fill(net);
    vkd_attach(net);
    remove(derived);
    return net;
}

#endif
