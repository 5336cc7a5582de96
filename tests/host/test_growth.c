// Student, teacher and taps, made, trained on two sizes and freed a hundred times: what is in use stays the
// same to the byte.
#include "host/small_nets.h"
#include "patches/heap.h"

#define NAMED "teacher_cfg=teacher.cfg\nteacher_weights=teacher.weights\n\n"

static const char student[] = NET(2, 32, 32) NAMED CONV_BN(5, 3, 2, leaky) CONV_BN(6, 3, 2, leaky) HEAD
    "[vkd_whiten]\nmode=whiten\n\n[vkd_projection]\nfrom=1\nteacher_from=1\nmap=cayley\nrebase=3\n\n"
    "[vkd_projection]\nfrom=0\nteacher_from=0\nmap=procrustes\nstudent_norm=gain\nforeground=0.5\nmask_"
    "padding=1\n\n"
    "[vkd_projection]\nfrom=1\nteacher_from=0\nloss=smooth_l1\nstudent_norm=layernorm\npool=global\n";

static void step(network *net) {
    train_network_datum(net);
    assert_true(vkd_of(net)->teacher && vkd_of(net)->tap_count == 3);
}

static void live(void) {
    network *net = make_student(student);
    step(net);
    resize_network(net, 64, 64);
    step(net);
    resize_network(net, 32, 32);
    step(net);
    free_network(net);
}

static void test_a_hundred_lives(void **state) {
    (void)state;
    make_teacher(NET(1, 32, 32) CONV_BN(9, 3, 2, leaky) CONV_BN(7, 3, 2, leaky) HEAD);
    for (int i = 0; i < 3; ++i) // stdio's and OpenBLAS's buffers
        live();
#if HEAP_IS_KNOWN
    const size_t before = in_use();
#endif
    for (int i = 0; i < 100; ++i)
        live();
#if HEAP_IS_KNOWN
    assert_int_equal(in_use(), before);
#endif
}

// Without malloc's caches of freed blocks, which count as in use and never settle.
int main(int argc, char **argv) {
    (void)argc;
    if (HEAP_IS_KNOWN && !getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
        return EXIT_FAILURE;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_hundred_lives)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
