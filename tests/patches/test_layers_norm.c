/* Batch normalization with its activation (patch 240) and activation arrays (patch 235) against plain loops
 * in double precision over the same formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "activations.h"
#include "batchnorm_layer.h"
#include "convolutional_layer.h"
#include "darknet.h"
#include "numerics/parallel.h"

static uint64_t state = 3;

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

static const ACTIVATION all[] = {LOGISTIC, RELU, RELIE, LINEAR, RAMP,    TANH,  PLSE,
                                 LEAKY,    ELU,  LOGGY, STAIR,  HARDTAN, LHTAN, SELU};

/* The arrays and the functions of one number share their formulas; vectors may round exp() otherwise. */
static void test_activation_arrays(void **unused) {
    (void)unused;
    int sizes[] = {1, 15, 1000, 70001};
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                size_t n = (size_t)sizes[s];
                float *x = random_floats(n), *y = malloc(n * sizeof *y), *d = random_floats(n);
                float *sent = malloc(n * sizeof *sent);
                for (size_t i = 0; i < n; i++)
                    x[i] *= 6;
                memcpy(y, x, n * sizeof *y);
                memcpy(sent, d, n * sizeof *d);
                activate_array(y, (int)n, all[k]);
                gradient_array(y, (int)n, all[k], d);
                for (size_t i = 0; i < n; i++) {
                    double want = activate(x[i], all[k]), slope = gradient(y[i], all[k]) * (double)sent[i];
                    assert_true(fabs(y[i] - want) <= 4 * FLT_EPSILON * (1 + fabs(want)));
                    assert_true(fabs(d[i] - slope) <= 4 * FLT_EPSILON * (1 + fabs(slope)));
                }
                free(x), free(y), free(d), free(sent);
            }
    }
}

struct moments {
    double mean, variance; /* Darknet's: of batch*spatial - 1 */
};

static struct moments channel(const float *x, int f, int batch, int c, int spatial) {
    double sum = 0, square = 0, n = (double)batch * spatial;
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < spatial; i++)
            sum += x[((size_t)b * (size_t)c + (size_t)f) * (size_t)spatial + (size_t)i];
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < spatial; i++) {
            double d = x[((size_t)b * (size_t)c + (size_t)f) * (size_t)spatial + (size_t)i] - sum / n;
            square += d * d;
        }
    return (struct moments){sum / n, square / (n - 1)};
}

static void randomize(layer l, float offset) {
    for (int f = 0; f < l.out_c; f++) {
        l.scales[f] = 1 + .5f * uniform();
        l.biases[f] = uniform();
        l.rolling_mean[f] = offset + uniform();
        l.rolling_variance[f] = 1.5f + uniform();
        l.scale_updates[f] = uniform();
        l.bias_updates[f] = uniform();
    }
}

/* Checks output, statistics and gradients of layer l, whose normalization read x: (batch,out_c,spatial).
 * All values are O(1 + offset), and the variance is at least .1, so that errors are a few of these eps;
 * sums of `terms` errors of random sign grow with the square root of their number. */
static void check_normalization(layer l, network net, const float *x, ACTIVATION a, float offset) {
    int spatial = l.out_w * l.out_h, c = l.out_c;
    size_t outputs = (size_t)(l.batch * l.outputs);
    double n = (double)l.batch * spatial, eps = FLT_EPSILON * (1 + fabs((double)offset));
    float *sent = random_floats(outputs), *scale_before = malloc((size_t)c * 4),
          *bias_before = malloc((size_t)c * 4);
    memcpy(l.delta, sent, outputs * sizeof *sent);
    memcpy(scale_before, l.scale_updates, (size_t)c * 4);
    memcpy(bias_before, l.bias_updates, (size_t)c * 4);
    float *output = malloc(outputs * sizeof *output);
    memcpy(output, l.output, outputs * sizeof *output);
    if (l.type == CONVOLUTIONAL)
        backward_batchnorm_activation(l, net, a);
    else
        backward_batchnorm_layer(l, net);

    for (int f = 0; f < c; f++) {
        struct moments m = channel(x, f, l.batch, c, spatial);
        if (net.train) {
            assert_true(fabs(l.mean[f] - m.mean) < 4 * eps);
            assert_true(fabs(l.variance[f] - m.variance) < 30 * eps * m.variance);
        } else {
            m = (struct moments){l.rolling_mean[f], l.rolling_variance[f]};
        }
        double sum = 0, product = 0, size = 0, norm = 1 / (sqrt(m.variance) + .000001);
        double root = sqrt(m.variance + .00001);
        for (int b = 0; b < l.batch; b++)
            for (int i = 0; i < spatial; i++) {
                size_t at = ((size_t)b * (size_t)c + (size_t)f) * (size_t)spatial + (size_t)i;
                double linear = (x[at] - m.mean) * norm * l.scales[f] + l.biases[f];
                assert_true(fabs(output[at] - (double)activate((float)linear, a)) < 30 * eps * (1 + norm));
                double d = (double)sent[at] * gradient(output[at], a);
                sum += d;
                product += d * (x[at] - m.mean);
                size += fabs(d) * (1 + fabs(x[at] - m.mean));
            }
        assert_true(fabs(l.bias_updates[f] - bias_before[f] - sum) < 4 * eps * (1 + size));
        assert_true(fabs(l.scale_updates[f] - scale_before[f] - product * norm) <
                    4 * eps * (1 + size * norm));
        double mean_delta = -sum * l.scales[f] / root;
        double variance_delta = -.5 * product * l.scales[f] / (root * root * root);
        for (int b = 0; b < l.batch; b++)
            for (int i = 0; i < spatial; i++) {
                size_t at = ((size_t)b * (size_t)c + (size_t)f) * (size_t)spatial + (size_t)i;
                double d = (double)sent[at] * gradient(output[at], a);
                double want =
                    d * l.scales[f] / root + 2 * variance_delta * (x[at] - m.mean) / n + mean_delta / n;
                double scale =
                    1 / root + fabs(variance_delta) * (1 + fabs(x[at] - m.mean)) / n + fabs(mean_delta) / n;
                assert_true(fabs(l.delta[at] - want) < 30 * eps * scale);
            }
    }
    free(sent), free(scale_before), free(bias_before), free(output);
}

static void check_batchnorm_layer(int batch, int c, int h, int w, float offset, int train) {
    layer l = make_batchnorm_layer(batch, w, h, c);
    network net = {0};
    net.train = train;
    net.input = random_floats((size_t)(batch * l.inputs));
    net.delta = calloc((size_t)(batch * l.inputs), sizeof(float));
    for (int i = 0; i < batch * l.inputs; i++)
        net.input[i] += offset;
    randomize(l, offset);
    float *rolling = malloc((size_t)c * sizeof *rolling);
    memcpy(rolling, l.rolling_mean, (size_t)c * sizeof *rolling);
    l.forward(l, net);
    for (int f = 0; f < c; f++) {
        double want = train ? .99 * rolling[f] + .01 * l.mean[f] : rolling[f];
        assert_true(fabs(l.rolling_mean[f] - want) < 4 * FLT_EPSILON * (1 + fabs(want)));
    }
    check_normalization(l, net, net.input, LINEAR, offset);
    assert_memory_equal(net.delta, l.delta, (size_t)(batch * l.inputs) * sizeof(float));
    free(rolling), free(net.input), free(net.delta);
    free_layer(l);
}

static void test_batchnorm_layer(void **unused) {
    (void)unused;
    int shapes[][4] = {{1, 1, 3, 3},   {5, 4, 7, 9}, {2, 3, 1, 2},
                       {5, 6, 50, 61}, {3, 5, 1, 1}, {1, 2, 190, 191}};
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int train = 0; train < 2; train++) {
                int *s = shapes[i];
                if (s[0] * s[2] * s[3] < 9) continue; /* too few samples for a bound on the variance */
                check_batchnorm_layer(s[0], s[1], s[2], s[3], 0, train);
                check_batchnorm_layer(s[0], s[1], s[2], s[3], 30, train);
            }
    }
}

/* Through a convolution whose weights are the identity, so that l.x is the input exactly. */
static void check_convolution(int batch, int c, int h, int w, ACTIVATION a, int train) {
    layer l = make_convolutional_layer(batch, h, w, c, c, 1, 1, 1, 0, a, 1, 0, 0, 0);
    network net = {0};
    net.train = train;
    net.input = random_floats((size_t)(batch * l.inputs));
    net.workspace = malloc(l.workspace_size + 1);
    for (int i = 0; i < l.nweights; i++)
        l.weights[i] = i % (c + 1) == 0;
    randomize(l, 0);
    l.forward(l, net);
    assert_memory_equal(l.x, net.input, (size_t)(batch * l.inputs) * sizeof(float));
    check_normalization(l, net, net.input, a, 0);
    free(net.input), free(net.workspace);
    free_layer(l);
}

static void test_convolution(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (int train = 0; train < 2; train++) {
            check_convolution(5, 4, 7, 9, LEAKY, train);
            check_convolution(1, 3, 13, 11, LOGISTIC, train);
            check_convolution(4, 5, 71, 77, LEAKY, train);
            check_convolution(4, 5, 71, 77, LINEAR, train);
        }
    }
}

/* A float sum over 4 million values near 1000 loses its digits; the sums in blocks keep them. */
static void test_large_batch_keeps_digits(void **unused) {
    (void)unused;
    vkd_limit_threads(2);
    layer l = make_batchnorm_layer(4, 1000, 1000, 1);
    network net = {0};
    net.train = 1;
    net.input = random_floats((size_t)(4 * l.inputs));
    for (int i = 0; i < 4 * l.inputs; i++)
        net.input[i] += 1000;
    struct moments m = channel(net.input, 0, 4, 1, l.outputs);
    l.forward(l, net);
    assert_true(fabs(l.mean[0] - m.mean) <= FLT_EPSILON * m.mean);
    assert_true(fabs(l.variance[0] - m.variance) < 30 * FLT_EPSILON * m.variance);
    free(net.input);
    free_layer(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activation_arrays),
        cmocka_unit_test(test_batchnorm_layer),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_large_batch_keeps_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
