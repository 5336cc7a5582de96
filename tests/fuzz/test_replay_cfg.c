// The cfgs that found faults in Darknet's parser or in `vkd check`. Runs from the repository's root.
#include "fuzz/fuzz_cfg.c"

#include "fuzz/replay.h"
#include "patches/child.h"

static void regressions(void **state) {
    (void)state;
    replay("tests/fuzz/cfg");
}

static void bad_cfgs(void **state) {
    (void)state;
    replay("tests/cfg_errors");
}

static void mutations_leave_good_cfgs(void **state) {
    (void)state;
    unsigned long before = fuzz_accepted, refused = fuzz_refusals;
    uint8_t data[1024];
    for (unsigned seed = 0; seed < 500; ++seed) {
        strcpy((char *)data, teacher);
        size_t size = LLVMFuzzerCustomMutator(data, strlen((char *)data), sizeof data, seed * 2654435761u);
        LLVMFuzzerTestOneInput(data, size);
    }
    assert_true(fuzz_accepted - before > 50);
    assert_true(fuzz_refusals - refused > 50);
}

// What the harness itself must find: memory that is left, another status, a line without a place.
static void leave_memory(char *unused, char *also) {
    (void)unused;
    (void)also;
    static void *volatile kept;
    kept = malloc(1);
    (void)kept;
}

static void end_without_place(char *unused, char *also) {
    (void)unused;
    (void)also;
    vkd_fail("something is wrong");
}

static void end_well(char *unused, char *also) {
    (void)unused;
    (void)also;
    exit(0);
}

static void run_one(void *body) {
    fuzz_report = stderr;
    run_trapped(*(void (**)(char *, char *))body, "a.cfg", "");
}

static void the_harness_sees_faults(void **state) {
    (void)state;
    void (*bodies[])(char *, char *) = {leave_memory, end_without_place, end_well};
    static const char *const says[] = {"fault: memory or a file is left", "fault: something is wrong",
                                       "fault: the exit status is not 1"};
    for (int i = 0; i < 3; ++i) {
        child_result r = in_child(run_one, &bodies[i]);
        assert_int_equal(r.status, -SIGABRT);
        assert_string_equal(last_line(&r), says[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_harness_sees_faults),
                                       cmocka_unit_test(regressions), cmocka_unit_test(bad_cfgs),
                                       cmocka_unit_test(mutations_leave_good_cfgs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
