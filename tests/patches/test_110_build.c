/* Patch 110: a program that loads Darknet keeps its subnormals. */
#include "child.h"
#include <dlfcn.h>

static void load_and_halve(void *arg) {
    (void)arg;
    if (!dlopen(VKD_DARKNET "/libdarknet.so", RTLD_NOW)) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(2);
    }
    volatile float smallest_normal = 0x1p-126f;
    volatile float half = smallest_normal * 0.5f;
    if (half != 0x1p-127f) _exit(3);
}

static void test_subnormals_survive_loading_darknet(void **state) {
    (void)state;
    child_result r = in_child(load_and_halve, NULL);
    if (r.status != 0) print_error("%s\n", r.err);
    assert_int_equal(r.status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_subnormals_survive_loading_darknet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
