/* Patches 440 and 442: networks that do not begin with weights are trained, and xnor=1 bears another size. */
#include "host/small_nets.h"

#include "numerics/support.h"

#include "network.h"

static const char *const first[] = {
    "[maxpool]\nsize=2\nstride=2\n\n",    "[batchnorm]\n\n",
    "[activation]\nactivation=leaky\n\n", "[normalization]\n\n",
    "[upsample]\nstride=2\n\n",
};

static void trained(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(first); ++i) {
        char cfg[1000];
        snprintf(cfg, sizeof cfg, "%s%s%s", NET(2, 16, 16), first[i], CONV_BN(5, 3, 1, leaky) HEAD);
        network *net = make_student(cfg);
        gradient_step(net);
        const layer *l = &net->layers[1];
        assert_true(norm_floats(l->weight_updates, (size_t)l->nweights) > 0);
        free_network(net);
    }
}

/* Whoever wants the delta of the pictures gets it. */
static void delta_of_the_pictures(void **state) {
    (void)state;
    network *net = make_student(NET(2, 16, 16) "[maxpool]\nsize=2\nstride=2\n\n" CONV(5, 3, 1, leaky) HEAD);
    const size_t n = (size_t)(net->inputs * net->batch);
    net->delta = floats(n);
    gradient_step(net);
    assert_true(norm_floats(net->delta, n) > 0);
    free(net->delta);
    net->delta = NULL;
    free_network(net);
}

/* What lies behind the copy is not written: its end is where the heap has another block. */
static void xnor_of_another_size(void **state) {
    (void)state;
#define XNOR                                                                                                 \
    CONV(5, 3, 1, leaky)                                                                                     \
    "[convolutional]\nxnor=1\nbatch_normalize=1\nfilters=6\nsize=3\nstride=1\npad=1\nactivation="            \
    "leaky\n\n" HEAD
    network *small = make_student(NET(2, 16, 16) XNOR), *large = make_student(NET(2, 96, 96) XNOR);
    assert_int_equal(resize_network(small, 96, 96), 0);
    memcpy(small->input, large->input, (size_t)(large->inputs * 2) * sizeof(float));
    float *got = network_predict(small, small->input), *want = network_predict(large, large->input);
    assert_memory_equal(got, want, (size_t)(large->outputs * 2) * sizeof(float));
    free_network(small);
    free_network(large);
}

int main(void) {
    gpu_index = -1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained),
        cmocka_unit_test(delta_of_the_pictures),
        cmocka_unit_test(xnor_of_another_size),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
