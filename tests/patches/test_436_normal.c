/* Networks of one seed have the same weights, whatever was drawn before them, and in whatever thread. */
#include "host/small_nets.h"

#include <pthread.h>

float rand_normal(void);

/* 405 weights: the second number of the last pair is left over. */
static network *of_odd_weights(void) {
    gpu_index = -1;
    write_text("odd.cfg", NET(1, 8, 8) CONV(15, 3, 1, linear));
    network *net = load_network("odd.cfg", NULL, 0);
    assert_int_equal(net->layers[0].nweights % 2, 1);
    return net;
}

static void test_networks_of_one_seed(void **state) {
    (void)state;
    network *one = of_odd_weights(), *other = of_odd_weights();
    size_t bytes = (size_t)one->layers[0].nweights * sizeof(float);
    assert_memory_equal(one->layers[0].weights, other->layers[0].weights, bytes);
    free_network(one);
    free_network(other);
}

static void *draw_in_a_thread(void *number) {
    vkd_network_begin();
    *(float *)number = rand_normal();
    return NULL;
}

static void test_threads_share_nothing(void **state) {
    (void)state;
    pthread_t thread;
    float number;
    vkd_network_begin();
    float first = rand_normal();
    assert_int_equal(pthread_create(&thread, NULL, draw_in_a_thread, &number), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(number == first);
    /* And what is left over here is still here. */
    float second = rand_normal();
    assert_true(second != first);
    vkd_network_begin();
    assert_true(rand_normal() == first && rand_normal() == second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks_of_one_seed),
        cmocka_unit_test(test_threads_share_nothing),
    };
    vkd_run_always_seed();
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
