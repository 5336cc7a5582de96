// Convolutions handed to numerics/: threads and workspaces. What they compute:
// tests/patches/test_layers_convolution.c.
#include "numerics/support.h"

#include "host/hooks.h"
#include "host/plugin.h"
#include "numerics/direct.h"
#include "numerics/parallel.h"

#include "convolutional_layer.h"

#ifdef _OPENMP
// The gradient in the weights keeps sums of its own for every thread: 1.2 million here. A regression:
// resize_network() refuses workspaces of more than 2e9 bytes, which these were from some 420 threads on.
static void many_threads(void **state) {
    (void)state;
    omp_set_num_threads(600);
    layer l = make_convolutional_layer(1, 20, 20, 256, 512, 1, 3, 2, 1, LINEAR, 0, 0, 0, 0);
    const vkd_convolution s = vkd_convolution_of(&l);
    assert_in_range(s.threads, 2, 599);
    assert_true(vkd_convolution_bytes(&l) > 0);
    assert_true(vkd_convolution_bytes(&l) <= (size_t)1 << 30);
    assert_true(l.workspace_size <= (size_t)1 << 30);
    // As many later, whatever is set: the workspace was made for them.
    omp_set_num_threads(1000);
    assert_int_equal(vkd_convolution_of(&l).threads, s.threads);
    omp_set_num_threads(1);
    assert_int_equal(vkd_convolution_of(&l).threads, s.threads);
    free_layer(l);
}
#endif

// What no number of threads fits stays with Darknet's own way.
static void too_large_for_one_thread(void **state) {
    (void)state;
    const layer l = {.type = CONVOLUTIONAL,
                     .batch = 1,
                     .c = 20000,
                     .h = 9,
                     .w = 9,
                     .n = 20000,
                     .groups = 1,
                     .size = 1,
                     .stride = 1}; // 400 million weights in panels
    assert_int_equal(vkd_convolution_of(&l).c, 0);
    assert_int_equal(vkd_convolution_bytes(&l), 0);
    assert_false(vkd_convolve(&l, NULL, NULL, NULL));
}

int main(void) {
    gpu_index = -1;
    const struct CMUnitTest tests[] = {
#ifdef _OPENMP
        cmocka_unit_test(many_threads),
#endif
        cmocka_unit_test(too_large_for_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
