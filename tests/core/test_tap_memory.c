// A tap says how much it allocates, and allocates nothing within a step. The sources are compiled in here
// with an allocator that counts, instead of being linked.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static long allocated, blocks; // ever, and now in use
static size_t bytes;           // ever

static void *counted_calloc(size_t count, size_t size) {
    void *block = calloc(count, size);
    if (block) {
        ++allocated;
        ++blocks;
        bytes += count * size;
    }
    return block;
}

static void counted_free(void *block) {
    blocks -= block != NULL;
    free(block);
}

// Only calloc is used there; another allocator must not slip in unseen.
#define calloc  counted_calloc
#define free    counted_free
#define malloc  use_calloc_here
#define realloc use_calloc_here
#include "../../darknet_vkd/core/projection.c"
#include "../../darknet_vkd/core/samples.c"
#include "../../darknet_vkd/core/student.c"
#include "../../darknet_vkd/core/tap.c"
#include "../../darknet_vkd/core/target.c"
#undef calloc
#undef free
#undef malloc
#undef realloc

// All of the program's allocations, those of numerics/ and of the BLAS too, where the C library tells us.
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__
#define COUNTS_EVERYTHING 1
static long every_allocation;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *malloc(size_t size) {
    ++every_allocation;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    ++every_allocation;
    return __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
    ++every_allocation;
    return __libc_realloc(block, size);
}
#else
#define COUNTS_EVERYTHING 0
static long every_allocation;
#endif

static const vkd_tap_shape shape = {2, 3, 2, 3, 5, 4, 6}, wide = {2, 6, 3, 2, 4, 3, 2};

enum { WAYS = 2 * 4 * 2 * 2 * 2 };

static vkd_tap_options options_of(int way) {
    return (vkd_tap_options){
        .map = way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_MATRIX_EXP,
        .pool = way & 2 ? VKD_OPTION_POOL_GLOBAL : VKD_OPTION_POOL_DENSE,
        .student_norm = way & 4 ? VKD_OPTION_STUDENT_STANDARDIZE : VKD_OPTION_STUDENT_NONE,
        .ratio = 0.1f,
        .learning_rate = 1,
        .whiten = {.mode = way >> 3 & 3,
                   .statistics = VKD_OPTION_STATISTICS_RUNNING,
                   .momentum = 0.9f,
                   .shrinkage = 0.05f,
                   .eps = 1e-5f},
    };
}

static void fill(float *x, size_t n) {
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 2, n);
    for (size_t i = 0; i < n; ++i)
        x[i] = (float)vkd_rng_normal(&rng);
}

// What a tap says that it takes is what it asked for.
static void counting(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; ++way)
        for (int more = 0; more < 8 * 3; ++more) {
            vkd_tap_options o = options_of(way);
            if (more / 8 == 1) o.map = VKD_OPTION_MAP_HOUSEHOLDER;
            if (more / 8 == 2) o.map = VKD_OPTION_MAP_PROCRUSTES;
            if (more & 1) o.student_norm = VKD_OPTION_STUDENT_LAYERNORM;
            o.foreground = more & 2 && o.pool == VKD_OPTION_POOL_DENSE ? 0.5f : 0;
            o.loss = more & 4 ? VKD_OPTION_LOSS_SMOOTH_L1 : VKD_OPTION_LOSS_L2;
            o.mask_padding = o.foreground > 0;
            o.rebase = more & 1 ? 1 : 0;
            vkd_tap *tap;
            bytes = 0;
            assert_int_equal(vkd_tap_create(&tap, &o, way & 32 ? wide : shape, 1, 0), VKD_OK);
            assert_int_equal(vkd_tap_bytes(tap), bytes);
            size_t before = bytes;
            vkd_tap_shape larger = way & 32 ? wide : shape;
            larger.h *= 3;
            assert_int_equal(vkd_tap_resize(tap, larger), VKD_OK);
            assert_true(vkd_tap_bytes(tap) >= before);
            vkd_tap_free(tap);
            bytes = 0;
            assert_int_equal(vkd_tap_create(&tap, &o, larger, 1, 0), VKD_OK);
            assert_int_equal(vkd_tap_bytes(tap), bytes);
            vkd_tap_free(tap);
        }
    assert_int_equal(blocks, 0);
}

// The first step may let the BLAS make its buffers; later ones allocate nothing, refused batches included.
static void stepping(void **state) {
    (void)state;
    static float x[128], t[1024], task[128];
    fill(x, 128);
    fill(t, 1024);
    fill(task, 128);
    for (int way = 0; way < WAYS; ++way) {
        vkd_tap_options o = options_of(way);
        vkd_tap *tap;
        assert_int_equal(vkd_tap_create(&tap, &o, way & 32 ? wide : shape, 1, 0), VKD_OK);
        long ours = 0, all = 0;
        for (int step = 0; step < 40; ++step) {
            if (step == 1) {
                ours = allocated;
                all = every_allocation;
            }
            if (step == 20) x[1] = NAN;
            vkd_status forward = vkd_tap_forward(tap, x, t);
            vkd_tap_weigh(tap, task, 1);
            vkd_status update = vkd_tap_update(tap, 1);
            x[1] = 1;
            if (update || forward != (step == 20 ? VKD_NOT_FINITE : VKD_OK)) fail();
        }
        long used = every_allocation - all;
        assert_int_equal(allocated, ours);
        assert_int_equal(used, 0);
        vkd_tap_free(tap);
    }
#if COUNTS_EVERYTHING
    assert_true(every_allocation > 100); // it does count
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting),
        cmocka_unit_test(stepping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
