// Where batch norm is left to the pooling behind it, and that a training step is the same there.
#include "host/small_nets.h"

#include "numerics/support.h"

#define MAX(size, stride) "[maxpool]\nsize=" #size "\nstride=" #stride "\n\n"
#define READ(layer)       "[route]\nlayers=" #layer "\n\n"
#define BODY                                                                                                 \
    NET(2, 64, 64)                                                                                           \
    CONV_BN(24, 3, 1, leaky)                                                                                 \
    MAX(2, 2) CONV_BN(24, 3, 1, relu) MAX(2, 2) CONV_BN(6, 3, 1, linear) MAX(2, 2) CONV_BN(6, 3, 1, leaky)

static void compare(const char *what, const float *x, const float *y, size_t n) {
    if (n && !(relative_floats(x, y, n) <= 1e-5)) fail_msg("%s differ by %g", what, relative_floats(x, y, n));
}

// A [route] that nobody reads gives its layer no gradient, but a reader: it goes Darknet's own way.
static void same_step(void **state) {
    (void)state;
    network *pooled = make_student(BODY HEAD),
            *plain = make_student(BODY READ(0) READ(2) READ(4) READ(6) HEAD);
    const int layers = 7;
    for (int step = 0; step < 2; ++step) {
        gradient_step(pooled);
        gradient_step(plain);
        compare("losses", pooled->cost, plain->cost, 1);
        for (int i = 0; i < layers; ++i) {
            const layer *a = &pooled->layers[i], *b = &plain->layers[i];
            assert_int_equal(vkd_is_pooled(pooled, i), i == 0 || i == 2 || i == 4);
            assert_int_equal(vkd_is_pooled(plain, i), 0);
            if (a->type != CONVOLUTIONAL) continue;
            compare("weight_updates", a->weight_updates, b->weight_updates, (size_t)a->nweights);
            compare("bias_updates", a->bias_updates, b->bias_updates, (size_t)a->n);
            if (!a->batch_normalize) continue;
            compare("scale_updates", a->scale_updates, b->scale_updates, (size_t)a->n);
            compare("means", a->rolling_mean, b->rolling_mean, (size_t)a->n);
            compare("variances", a->rolling_variance, b->rolling_variance, (size_t)a->n);
        }
    }
    // In inference both are Darknet's.
    const int outputs = pooled->outputs * pooled->batch;
    assert_int_equal(outputs, plain->outputs * plain->batch);
    float *a = network_predict(pooled, pooled->input), *b = network_predict(plain, pooled->input);
    compare("predictions", a, b, (size_t)outputs);
    free_network(pooled);
    free_network(plain);
}

#define TEACHER NET(1, 32, 32) CONV_BN(9, 3, 1, leaky)
#define TAP(from)                                                                                            \
    "[vkd_whiten]\nmode=standardize\nstatistics=batch\n\n[vkd_projection]\nfrom=" #from                      \
    "\nteacher_from=0\nweight=1\n\n"
#define NAMED "teacher_cfg=teacher.cfg\nteacher_weights=teacher.weights\n\n"

static const struct {
    const char *name, *cfg;
    int pooled; // layer 0
} cases[] = {
    {"plain", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD, 1},
    {"stride", NET(2, 64, 64) CONV_BN(5, 3, 2, leaky) MAX(2, 2) HEAD, 1},
    {"logistic", NET(2, 32, 32) CONV_BN(5, 3, 1, logistic) MAX(2, 2) HEAD, 0},
    {"without batch norm", NET(2, 32, 32) CONV(5, 3, 1, leaky) MAX(2, 2) HEAD, 0},
    {"larger windows", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(3, 2) HEAD, 0},
    {"stride of 1", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 1) HEAD, 0},
    {"odd width", NET(2, 33, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD, 0},
    {"narrow", NET(2, 14, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD, 0},
    {"nothing behind", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky), 0},
    {"route", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD READ(0), 0},
    {"truth",
     NET(2, 32, 32) "[convolutional]\nbatch_normalize=1\nfilters=5\nsize=3\npad=1\nactivation=leaky\ntruth="
                    "1\n\n" MAX(2, 2) HEAD,
     0},
    {"windows of another grid",
     NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) "[maxpool]\nsize=2\nstride=2\npadding=2\n\n" HEAD, 0},
    {"route of another", NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD READ(1), 1},
    {"shortcut",
     NET(2, 32, 32) CONV_BN(5, 3, 1, leaky) MAX(2, 2) CONV(5, 1, 1, leaky) "[shortcut]\nfrom=0\n\n" HEAD, 0},
    {"tap", NET(2, 32, 32) NAMED CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD TAP(0), 0},
    {"tap behind", NET(2, 32, 32) NAMED CONV_BN(5, 3, 1, leaky) MAX(2, 2) HEAD TAP(1), 1},
};

static void where(void **state) {
    (void)state;
    make_teacher(TEACHER);
    for (size_t i = 0; i < COUNT(cases); ++i) {
        network *net = make_student(cases[i].cfg);
        vkd_attach(net);
        assert_int_equal(vkd_is_pooled(net, 0), 0); // not in inference
        net->train = 1;
        if (vkd_is_pooled(net, 0) != cases[i].pooled) fail_msg("%s: %d", cases[i].name, !cases[i].pooled);
        assert_int_equal(vkd_is_pooled(net, -1), 0);
        assert_int_equal(vkd_is_pooled(net, net->n - 1), 0);
        vkd_of(net)->keeps_maps = true;
        assert_int_equal(vkd_is_pooled(net, 0), 0);
        free_network(net);
    }
}

int main(void) {
    gpu_index = -1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_step), cmocka_unit_test(where)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
