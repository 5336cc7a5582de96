// The inputs that found faults in the reader of the vkd sections, and bad cfgs. Runs from the repository's
// root.
#include "fuzz/fuzz_options.c"

#include "fuzz/replay.h"

static void regressions(void **state) {
    (void)state;
    replay("tests/fuzz/options");
}

static void bad_cfgs(void **state) {
    (void)state;
    replay("tests/cfg_errors");
}

// A fuzzer without mutations that lead to good cfgs would find nothing behind the first line.
static void mutations_leave_good_cfgs(void **state) {
    (void)state;
    unsigned long before = fuzz_accepted, refused = fuzz_refusals;
    uint8_t data[1024];
    for (unsigned seed = 0; seed < 2000; ++seed) {
        strcpy((char *)data,
               "[net]\n[convolutional]\nfilters=4\n[vkd_whiten]\nmode=whiten\n[vkd_projection]\n"
               "from=0\nteacher_from=3\nmap=cayley\n");
        size_t size = LLVMFuzzerCustomMutator(data, strlen((char *)data), sizeof data, seed * 2654435761u);
        LLVMFuzzerTestOneInput(data, size);
    }
    assert_true(fuzz_accepted - before > 200);
    assert_true(fuzz_refusals - refused > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(regressions), cmocka_unit_test(bad_cfgs),
                                       cmocka_unit_test(mutations_leave_good_cfgs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
