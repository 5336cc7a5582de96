/* Layers add to the delta of their input (patch 210): the gradient of an input that two layers share is the
 * sum of both, by finite differences and by exact copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "activation_layer.h"
#include "batchnorm_layer.h"
#include "convolutional_layer.h"
#include "darknet.h"
#include "normalization_layer.h"
#include "reorg_layer.h"

static uint64_t state = 7;

static float uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 11) / 9007199254740992.0 * 2 - 1);
}

static float *random_floats(size_t n) {
    float *a = malloc(n * sizeof *a);
    assert_non_null(a);
    for (size_t i = 0; i < n; i++)
        a[i] = uniform();
    return a;
}

/* A network of nothing but an input, a delta for it and a workspace. */
static network bare_network(layer l) {
    network net = {0};
    net.batch = l.batch;
    net.train = 1;
    net.input = random_floats((size_t)(l.batch * l.inputs));
    net.delta = calloc((size_t)(l.batch * l.inputs), sizeof(float));
    net.workspace = calloc(1, l.workspace_size + 1);
    return net;
}

static void free_all(layer l, network net) {
    free(net.input), free(net.delta), free(net.workspace);
    free_layer(l);
}

/* backward must be before + (backward from zero), to rounding. */
static void check_adds(layer l) {
    network net = bare_network(l);
    size_t inputs = (size_t)(l.batch * l.inputs), outputs = (size_t)(l.batch * l.outputs);
    float *sent = random_floats(outputs), *before = random_floats(inputs),
          *alone = malloc(inputs * sizeof *alone);

    l.forward(l, net);
    memcpy(l.delta, sent, outputs * sizeof *sent);
    l.backward(l, net);
    memcpy(alone, net.delta, inputs * sizeof *alone);

    memcpy(net.delta, before, inputs * sizeof *before);
    l.forward(l, net);
    memcpy(l.delta, sent, outputs * sizeof *sent);
    l.backward(l, net);
    int moved = 0;
    for (size_t i = 0; i < inputs; i++) {
        double want = (double)before[i] + alone[i];
        double scale = (fabs(before[i]) + fabs(alone[i]) + 1) * FLT_EPSILON;
        assert_true(fabs(net.delta[i] - want) <= 4 * scale);
        moved += alone[i] != 0;
    }
    assert_true(moved > (int)inputs / 2);
    free(sent), free(before), free(alone);
    free_all(l, net);
}

static void test_pointwise_convolution(void **unused) {
    (void)unused;
    check_adds(make_convolutional_layer(3, 5, 7, 6, 4, 1, 1, 1, 0, LEAKY, 0, 0, 0, 0));
    check_adds(make_convolutional_layer(3, 5, 7, 6, 4, 2, 1, 1, 0, LINEAR, 0, 0, 0, 0));
}

static void test_convolution(void **unused) {
    (void)unused;
    check_adds(make_convolutional_layer(3, 5, 7, 6, 4, 1, 3, 1, 1, LEAKY, 1, 0, 0, 0));
}

static void test_activation(void **unused) {
    (void)unused;
    check_adds(make_activation_layer(3, 35, LEAKY));
}

/* 61c9d02e had no l.x for it on the CPU, and wrote through NULL. */
static void test_batchnorm(void **unused) {
    (void)unused;
    check_adds(make_batchnorm_layer(3, 7, 5, 4));
}

static void test_normalization(void **unused) {
    (void)unused;
    check_adds(make_normalization_layer(3, 7, 5, 6, 5, .1f, .75f, 1));
}

static void test_reorg(void **unused) {
    (void)unused;
    check_adds(make_reorg_layer(3, 6, 4, 4, 2, 0, 0, 0));
    check_adds(make_reorg_layer(3, 6, 4, 4, 2, 1, 0, 0));
    check_adds(make_reorg_layer(3, 6, 4, 4, 2, 0, 1, 0));
    check_adds(make_reorg_layer(3, 6, 4, 4, 2, 1, 1, 0));
}

/* E(x) = <u, conv1x1(x)> + <v, leaky(x)>; both layers read x and send back to one delta. dE/dx is -delta for
 * delta = -u, -v, and E is piecewise linear, so central differences are exact but for rounding. */
static double energy(layer a, layer b, network net, const float *u, const float *v) {
    double e = 0;
    a.forward(a, net);
    b.forward(b, net);
    for (int i = 0; i < a.batch * a.outputs; i++)
        e += (double)u[i] * a.output[i];
    for (int i = 0; i < b.batch * b.outputs; i++)
        e += (double)v[i] * b.output[i];
    return e;
}

static void test_shared_input_by_differences(void **unused) {
    (void)unused;
    layer a = make_convolutional_layer(2, 4, 5, 3, 6, 1, 1, 1, 0, LINEAR, 0, 0, 0, 0);
    layer b = make_activation_layer(2, a.inputs, LEAKY);
    network net = bare_network(a);
    float *u = random_floats((size_t)(2 * a.outputs)), *v = random_floats((size_t)(2 * b.outputs));
    for (int i = 0; i < 2 * a.inputs; i++)
        net.input[i] += net.input[i] > 0 ? .125f : -.125f;
    energy(a, b, net, u, v);
    for (int i = 0; i < 2 * a.outputs; i++)
        a.delta[i] = -u[i];
    for (int i = 0; i < 2 * b.outputs; i++)
        b.delta[i] = -v[i];
    b.backward(b, net);
    a.backward(a, net);
    for (int i = 0; i < 2 * a.inputs; i++) {
        float x = net.input[i], step = .0625f;
        net.input[i] = x + step;
        double up = energy(a, b, net, u, v);
        net.input[i] = x - step;
        double down = energy(a, b, net, u, v);
        double slope = (up - down) / ((double)(x + step) - (double)(x - step));
        net.input[i] = x;
        /* outputs below 4 in size round by 4 eps/2 each; 7 of them depend on x[i] */
        assert_true(fabs(slope + net.delta[i]) < 30 * 7 * FLT_EPSILON / step);
    }
    free(u), free(v);
    free_layer(b);
    free_all(a, net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointwise_convolution),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_activation),
        cmocka_unit_test(test_batchnorm),
        cmocka_unit_test(test_normalization),
        cmocka_unit_test(test_reorg),
        cmocka_unit_test(test_shared_input_by_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
