// The cfg reader when memory runs out: the N-th allocation fails, for every N until none does.
// The sources are compiled in here with an allocator of ours, instead of being linked.
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int allocations_left = -1; // -1: no limit

static bool spent(void) {
    if (allocations_left < 0) return false;
    if (allocations_left == 0) return true;
    --allocations_left;
    return false;
}

static void *limited_malloc(size_t size) {
    return spent() ? NULL : malloc(size);
}

static void *limited_realloc(void *block, size_t size) {
    return spent() ? NULL : realloc(block, size);
}

#define malloc  limited_malloc
#define realloc limited_realloc
#include "../../darknet_vkd/core/cfg_text.c"
#include "../../darknet_vkd/core/error.c"
#include "../../darknet_vkd/core/option_reference.c"
#include "../../darknet_vkd/core/option_table.c"
#include "../../darknet_vkd/core/options.c"
#undef malloc
#undef realloc

static char path[64];

static int write_file(void **state) {
    (void)state;
    strcpy(path, "/tmp/test_options_memory_XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) return -1;
    fprintf(
        file,
        "[net]\nteacher_cfg=t.cfg\nteacher_weights=t.weights\n[convolutional]\n[vkd_whiten]\nmode=none\n");
    for (int i = 0; i < 3; ++i)
        fprintf(file, "[vkd_projection]\nteacher_from=%d\nratio=0.1\n", i);
    for (int i = 0; i < 3000; ++i)
        fprintf(file, "# so long that the buffer has to grow\n");
    return fclose(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void reading(void **state) {
    (void)state;
    vkd_status status = VKD_OUT_OF_MEMORY;
    int n = 0;
    for (; status != VKD_OK && n < 1000; ++n) {
        vkd_cfg cfg;
        vkd_error err = {VKD_OK, ""};
        allocations_left = n;
        status = vkd_cfg_read(path, &cfg, &err);
        allocations_left = -1;
        if (status != VKD_OK) {
            assert_int_equal(status, VKD_OUT_OF_MEMORY);
            assert_int_equal(err.status, VKD_OUT_OF_MEMORY);
            assert_string_equal(err.text + strlen(path), ": out of memory");
        } else {
            assert_int_equal(cfg.tap_count, 3);
        }
        vkd_cfg_free(&cfg);
    }
    assert_int_equal(status, VKD_OK);
    assert_true(n > 15); // the file's buffer four times, the path, nine values, two paths, three taps
}

static void stripping(void **state) {
    (void)state;
    vkd_status status = VKD_OUT_OF_MEMORY;
    int n = 0;
    for (; status != VKD_OK && n < 1000; ++n) {
        char *text;
        allocations_left = n;
        status = vkd_cfg_strip(path, &text, NULL, NULL);
        allocations_left = -1;
        if (status != VKD_OK) assert_int_equal(status, VKD_OUT_OF_MEMORY);
        if (status != VKD_OK) assert_null(text);
        free(text);
    }
    assert_int_equal(status, VKD_OK);
    assert_true(n > 2);
}

static void writing_the_reference(void **state) {
    (void)state;
    vkd_status status = VKD_OUT_OF_MEMORY;
    int n = 0;
    for (; status != VKD_OK && n < 1000; ++n) {
        char *text;
        allocations_left = n;
        status = vkd_options_reference(&text);
        allocations_left = -1;
        if (status != VKD_OK) assert_int_equal(status, VKD_OUT_OF_MEMORY);
        if (status != VKD_OK) assert_null(text);
        free(text);
    }
    assert_int_equal(status, VKD_OK);
    assert_true(n > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(stripping),
        cmocka_unit_test(writing_the_reference),
    };
    return cmocka_run_group_tests(tests, write_file, remove_file);
}
