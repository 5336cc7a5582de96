// core/ when memory runs out: whole scenarios, in which the N-th allocation fails, alone or with all behind
// it, for every N until none does. Each answers VKD_OUT_OF_MEMORY, leaves nothing allocated, and what it was
// called on usable or unborn. The linker's --wrap puts the allocator below in the place of the C library's;
// numerics/ allocates nothing.
#define _POSIX_C_SOURCE 200809L
#include "../numerics/support.h"

#include "core/average_precision.h"
#include "core/checkpoint.h"
#include "core/file.h"
#include "core/npy.h"
#include "core/options.h"
#include "core/tap.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static long until_failure = -1; // -1: no failure
static bool all_behind, failed;
static long blocks; // in use

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

static bool fails(void) {
    if (until_failure < 0 || until_failure-- > 0) return false;
    if (all_behind) until_failure = 0;
    return failed = true;
}

void *__wrap_malloc(size_t size) {
    void *block = fails() ? NULL : __real_malloc(size);
    blocks += block != NULL;
    return block;
}

void *__wrap_calloc(size_t count, size_t size) {
    void *block = fails() ? NULL : __real_calloc(count, size);
    blocks += block != NULL;
    return block;
}

void *__wrap_realloc(void *block, size_t size) {
    void *grown = fails() ? NULL : __real_realloc(block, size);
    blocks += grown != NULL && !block;
    return grown;
}

void __wrap_free(void *block) {
    blocks -= block != NULL;
    __real_free(block);
}

// What a scenario does under the failure, and without: the tests' own allocations must not fail.
static long held = -1;
static void spare(void) {
    held = until_failure;
    until_failure = -1;
}
static void strike(void) {
    until_failure = held;
}

typedef vkd_status scenario(const void *argument);

// At least so many allocations, so that a scenario that stops short is seen.
static void run(scenario *play, const void *argument, long at_least) {
    for (int behind = 0; behind < 2; ++behind) {
        long n = 0;
        do {
            const long before = blocks;
            failed = false;
            all_behind = behind;
            until_failure = n++;
            const vkd_status status = play(argument);
            until_failure = -1;
            assert_int_equal(status, failed ? VKD_OUT_OF_MEMORY : VKD_OK);
            assert_int_equal(blocks, before);
        } while (failed && n < 10000);
        assert_false(failed);
        assert_true(n > at_least);
    }
}

// ---- a tap
// ------------------------------------------------------------------------------------------------------

static const vkd_tap_shape tall = {2, 3, 2, 3, 5, 4, 6}, wide = {2, 6, 3, 2, 4, 3, 2};

typedef struct tap_case {
    vkd_tap_options options;
    vkd_tap_shape shape;
} tap_case;

// One step; a checksum of what it leaves.
static double step(vkd_tap *tap) {
    const vkd_tap_shape *s = &tap->shape;
    size_t in = (size_t)s->batch * s->k * s->h * s->w, out = (size_t)s->batch * s->n * s->th * s->tw;
    float *x = normal_floats(in, 1), *t = normal_floats(out, 2);
    assert_ok(vkd_tap_forward(tap, x, t));
    vkd_tap_weigh(tap, x, 1);
    double sum = tap->loss;
    for (size_t i = 0; i < in; ++i)
        sum += tap->dx[i] * (double)(1 + i);
    assert_true(isfinite(sum));
    free(x);
    free(t);
    return sum;
}

// Made, used, on a larger grid and a smaller one, freed. Where a new grid fails the old one goes on.
static vkd_status live(const void *argument) {
    const tap_case *c = argument;
    vkd_tap *tap = (vkd_tap *)&tall; // to be overwritten
    vkd_status status = vkd_tap_create(&tap, &c->options, c->shape, 1, 0);
    if (status) {
        assert_null(tap);
        return status;
    }
    const int factors[] = {2, 3, 1};
    for (size_t i = 0; i < COUNT(factors) && !status; ++i) {
        vkd_tap_shape s = c->shape;
        s.h *= factors[i];
        s.th *= factors[i];
        spare();
        double before = step(tap);
        strike();
        status = vkd_tap_resize(tap, s);
        spare();
        if (status) {
            assert_true(step(tap) == before);
            assert_ok(vkd_tap_resize(tap, s));
        }
        step(tap);
        assert_ok(vkd_tap_update(tap, 0)); // an angle of 0: P stays
        strike();
    }
    vkd_tap_free(tap);
    return status;
}

static void taps(void **state) {
    (void)state;
    const int maps[] = {VKD_OPTION_MAP_MATRIX_EXP, VKD_OPTION_MAP_PROCRUSTES, VKD_OPTION_MAP_LINEAR};
    for (int way = 0; way < 3 * 4 * 4; ++way) { // the rest in turn: 5 and 8 have no common factor
        int rest = 5 * way % 8;
        tap_case c = {.shape = rest & 1 ? wide : tall};
        c.options = (vkd_tap_options){
            .map = maps[way % 3],
            .rebase = rest & 2 ? 0 : 1,
            .student_norm = way / 3 % 4,
            .pool = rest & 4 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE,
            .foreground = rest & 4 ? 0 : 0.5f,
            .mask_padding = !(rest & 4),
            .ratio = 0.1f,
            .learning_rate = 1,
            .whiten = {.mode = way / 12 % 4, .shrinkage = 0.05f, .eps = 1e-5f},
        };
        run(live, &c, 20);
    }
}

// ---- files
// ------------------------------------------------------------------------------------------------------

static char path[64];

static int make_path(void **state) {
    (void)state;
    strcpy(path, "/tmp/test_no_memory_XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static const vkd_checkpoint_key key = {7, 8, 9};

// The old file stays where the new one cannot be written, and the blocks where it cannot be read.
static vkd_status checkpoint(const void *argument) {
    (void)argument;
    double old = 1, new = 2, found = 3;
    uint64_t hash = 0, other = 0;
    vkd_error err;
    vkd_checkpoint_key read = key;
    vkd_block block = {.name = "tap0.P", .data = &old, .bytes = sizeof old};
    spare();
    assert_ok(vkd_checkpoint_write(path, &key, &block, 1, &err));
    assert_ok(vkd_hash_file(path, &hash, &err));
    strike();
    block.data = &new;
    vkd_status status = vkd_checkpoint_write(path, &key, &block, 1, &err);
    if (status) {
        spare();
        assert_ok(vkd_hash_file(path, &other, &err));
        assert_true(hash == other);
        strike();
        return status;
    }
    block.data = &found;
    status = vkd_checkpoint_read(path, &read, &block, 1, "remedy", &err);
    if (status) {
        assert_true(found == 3);
        assert_non_null(strstr(err.text, "no memory"));
        return status;
    }
    assert_true(found == 2 && read.seen == key.seen);
    return vkd_hash_file(path, &hash, &err);
}

static vkd_status array(const void *argument) {
    (void)argument;
    const float data[6] = {1, 2, 3, 4, 5, 6};
    return vkd_npy_write(path, data, (int[]){2, 3}, 2);
}

static void files(void **state) {
    (void)state;
    run(checkpoint, NULL, 4);
    run(array, NULL, 2);
}

// ---- a cfg
// ------------------------------------------------------------------------------------------------------

static void write_cfg(void) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "[net]\nteacher_cfg=t.cfg\nteacher_weights=t.weights\n[convolutional]\n[vkd_whiten]\nmode=none\n");
    for (int i = 0; i < 3; ++i)
        fprintf(file, "[vkd_projection]\nteacher_from=%d\nratio=0.1\n", i);
    for (int i = 0; i < 3000; ++i)
        fprintf(file, "# so long that the buffer has to grow\n");
    assert_int_equal(fclose(file), 0);
}

static vkd_status reading(const void *argument) {
    (void)argument;
    vkd_cfg cfg;
    vkd_error err = {VKD_OK, ""};
    vkd_status status = vkd_cfg_read(path, &cfg, &err);
    if (status) {
        assert_int_equal(err.status, VKD_OUT_OF_MEMORY);
        assert_string_equal(err.text + strlen(path), ": out of memory");
    } else {
        assert_int_equal(cfg.tap_count, 3);
    }
    vkd_cfg_free(&cfg);
    return status;
}

static vkd_status stripping(const void *argument) {
    (void)argument;
    char *text;
    vkd_status status = vkd_cfg_strip(path, &text, NULL, NULL);
    if (status) assert_null(text);
    free(text);
    return status;
}

static vkd_status writing_the_reference(const void *argument) {
    (void)argument;
    char *text;
    vkd_status status = vkd_options_reference(&text);
    if (status) assert_null(text);
    free(text);
    return status;
}

static void cfgs(void **state) {
    (void)state;
    write_cfg();
    run(reading, NULL, 15); // the file's buffer four times, the path, nine values, two paths, three taps
    run(stripping, NULL, 2);
    run(writing_the_reference, NULL, 2);
}

// ---- average precision
// ------------------------------------------------------------------------------------------

static vkd_status judging(const void *argument) {
    (void)argument;
    const vkd_ground_truth truth[] = {{0, 0, 1, 1, 9, 9, 81}, {1, 1, 2, 2, 50, 50, 2500}};
    const vkd_detection found[] = {
        {0, 0, 1, 1, 9, 9, 0.9}, {1, 1, 40, 2, 50, 50, 0.8}, {1, 0, 0, 0, 5, 5, 0.1}};
    vkd_ap_result result;
    memset(&result, 1, sizeof result);
    vkd_status status = vkd_average_precision(truth, 2, found, 3, 2, 2, NULL, &result);
    if (status) {
        assert_true(result.ap == 0 && result.classes == 0);
        assert_true(!result.class_ap && !result.class_ap50 && !result.class_objects);
    } else {
        assert_true(result.ap > 0);
        vkd_ap_result_free(&result);
    }
    return status;
}

static void average_precision(void **state) {
    (void)state;
    run(judging, NULL, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps),
        cmocka_unit_test(files),
        cmocka_unit_test(cfgs),
        cmocka_unit_test(average_precision),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
