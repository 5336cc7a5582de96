/* Small students and teachers for the host's tests: written as cfg files, filled with seeded random weights.
 */
#ifndef TESTS_HOST_SMALL_NETS_H
#define TESTS_HOST_SMALL_NETS_H

#include "patches/child.h"

#include "host/hooks.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/rng.h"

#include "network.h"
#include "parser.h"

#include <math.h>

#define CONV(filters, size, stride, activation)                                                              \
    "[convolutional]\nfilters=" #filters "\nsize=" #size "\nstride=" #stride                                 \
    "\npad=1\nactivation=" #activation "\n\n"
#define CONV_BN(filters, size, stride, activation)                                                           \
    "[convolutional]\nbatch_normalize=1\nfilters=" #filters "\nsize=" #size "\nstride=" #stride              \
    "\npad=1\nactivation=" #activation "\n\n"
#define HEAD                                                                                                 \
    CONV(14, 1, 1, linear)                                                                                   \
    "[yolo]\nmask=0,1\nanchors=6,6, 9,12\nclasses=2\nnum=2\nignore_thresh=.6\n\n"
#define NET(batch, w, h)                                                                                     \
    "[net]\nbatch=" #batch "\nwidth=" #w "\nheight=" #h                                                      \
    "\nchannels=3\nlearning_rate=0.01\nmomentum=0.9\nmax_batches=100\n"

__attribute__((unused)) static void fill_normal(vkd_rng *rng, float *x, size_t n, double mean, double scale) {
    for (size_t i = 0; x && i < n; ++i)
        x[i] = (float)(mean + scale * vkd_rng_normal(rng));
}

/* Batch norm has statistics of its own, scales and biases far from their start. */
__attribute__((unused)) static void randomize(network *net, uint64_t seed) {
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 0, 0);
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        fill_normal(&rng, l->weights, (size_t)l->nweights, 0, sqrt(2.0 / (l->size * l->size * l->c)));
        fill_normal(&rng, l->biases, (size_t)l->n, 0, 0.3);
        if (!l->batch_normalize) continue;
        fill_normal(&rng, l->scales, (size_t)l->n, 1, 0.2);
        fill_normal(&rng, l->rolling_mean, (size_t)l->n, 0, 0.3);
        for (int f = 0; f < l->n; ++f)
            l->rolling_variance[f] = (float)(0.5 + vkd_rng_uniform(&rng));
    }
}

/* teacher.cfg and teacher.weights of the whole teacher, its head included. */
__attribute__((unused)) static void make_teacher(const char *cfg) {
    gpu_index = -1; /* as main() does in a build without a GPU */
    write_text("teacher.cfg", cfg);
    network *teacher = parse_network_cfg("teacher.cfg");
    randomize(teacher, 77);
    save_weights(teacher, "teacher.weights");
    free_network(teacher);
}

/* A student with a random picture and one box in it; its weights as randomize() leaves them. */
__attribute__((unused)) static network *make_student(const char *cfg) {
    write_text("student.cfg", cfg);
    network *net = load_network("student.cfg", NULL, 0);
    randomize(net, 5);
    vkd_rng rng;
    vkd_rng_seed(&rng, 6, 0, 0);
    fill_normal(&rng, net->input, (size_t)net->inputs * (size_t)net->batch, 0.5, 0.3);
    for (int b = 0; b < net->batch && net->truths >= 5; ++b) {
        float *box = net->truth + (size_t)b * (size_t)net->truths;
        box[0] = 0.4f, box[1] = 0.6f, box[2] = 0.3f, box[3] = 0.4f, box[4] = 1;
    }
    return net;
}

/* The forward half of train_network_datum. */
__attribute__((unused)) static void forward_step(network *net) {
    *net->seen += (size_t)net->batch;
    net->train = 1;
    vkd_step_begin(net);
    forward_network(net);
    vkd_forward(net);
    *net->seen -= (size_t)net->batch;
}

/* Both halves, with every update at zero before. */
__attribute__((unused)) static void gradient_step(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->weight_updates) memset(l->weight_updates, 0, (size_t)l->nweights * sizeof(float));
        if (l->bias_updates) memset(l->bias_updates, 0, (size_t)l->n * sizeof(float));
        if (l->scale_updates) memset(l->scale_updates, 0, (size_t)l->n * sizeof(float));
    }
    forward_step(net);
    *net->seen += (size_t)net->batch;
    backward_network(net);
    *net->seen -= (size_t)net->batch;
}

#endif
