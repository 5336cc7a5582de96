// One number of the student that is not finite, in whichever array and layer: no file is written.
#include "host/small_nets.h"

static const char student[] = NET(1, 32, 32)
    CONV_BN(5, 3, 2, leaky) "[batchnorm]\n\n[connected]\noutput=50\n"
                            "activation=linear\n\n" CONV(
                                14, 1, 1, linear) "[local]\nfilters=3\n"
                                                  "size=3\npad=1\nactivation=linear\n\n[softmax]\n";

static network *net;

static void save(void *argument) {
    (void)argument;
    save_weights(net, "student.weights");
}

static float *arrays(layer *l, int which) {
    float *const all[] = {l->weights, l->biases, l->scales, l->rolling_mean, l->rolling_variance};
    return all[which];
}

static void test_no_file_takes_it(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    int met = 0;
    net = make_student(student);
    net->train = 1;
    for (int i = 0; i < net->n; ++i)
        for (int which = 0; which < 5; ++which) {
            layer *l = &net->layers[i];
            float *array = arrays(l, which);
            // The biases of [batchnorm] are no part of a weights file.
            if (!array || (l->type == BATCHNORM && which == 1)) continue;
            // The last number of the array: counts must not fall short.
            int filters = l->type == CONNECTED || l->type == LOCAL ? l->outputs
                          : l->type == BATCHNORM                   ? l->c
                                                                   : l->n;
            int weights = l->type == CONNECTED ? l->outputs * l->inputs
                          : l->type == LOCAL   ? l->size * l->size * l->c * l->outputs
                                               : l->nweights;
            int last = (which ? filters : weights) - 1;
            float held = array[last];
            static const char *const names[] = {"weights", "biases", "scales", "means", "variances"};
            char line[200];
            snprintf(
                line, sizeof line,
                "student.weights: batch 0: layer %d (%s): found %g among its %s; it is not written, earlier "
                "checkpoints stay: lower the learning rate or lengthen burn_in",
                i, get_layer_string(l->type), bad[met % 3], names[which]);
            array[last] = bad[met++ % 3];
            assert_dies(save, NULL, line);
            assert_int_equal(access("student.weights", F_OK), -1);
            array[last] = held;
        }
    assert_int_equal(met, 5 + 3 + 2 + 2 +
                              2); // convolution with batch norm, batch norm, connected, convolution, local
    free_network(net);
}

// Whichever layer has it, before the backward pass.
static void forward(void *argument) {
    *net->layers[net->n - 1].cost = *(float *)argument;
    *net->seen = 6;
    vkd_forward(net);
}

static void test_a_loss_ends_the_run(void **state) {
    (void)state;
    float bad[] = {NAN, INFINITY, -INFINITY}, good = 3;
    net = make_student(NET(1, 32, 32) CONV(14, 3, 2, leaky) HEAD);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        assert_dies(
            forward, &bad[i],
            "batch 6: the loss is not finite; earlier checkpoints stay: lower the learning rate or lengthen "
            "burn_in");
    forward(&good);
    free_network(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_takes_it),
        cmocka_unit_test(test_a_loss_ends_the_run),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
