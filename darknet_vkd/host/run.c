#define _POSIX_C_SOURCE 200809L
#include "host/run.h"

#include "host/command_line.h"
#include "host/hooks.h"
#include "host/padding.h"
#include "numerics/rng.h"

#include "darknet.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Darknet's functions take no context, so what the command line says is kept here, and the loader's threads
// keep their sequence in thread-local storage.
static vkd_run run;
static _Thread_local vkd_rng sequence;
static _Thread_local size_t sequences_begun;
static _Thread_local uint64_t loading_batch;
static _Thread_local int loading_place;
static atomic_uint_least64_t next_load = 1;

static void tell(const char *format, va_list args) {
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&first); // and never unlocked
    fflush(stdout);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr); // over a line of progress
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

static _Noreturn void end(void) {
    // Not exit(), which takes OpenCV's own objects from under other threads.
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

void vkd_vfail(const char *format, va_list args) {
    tell(format, args);
    end();
}

void vkd_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    tell(format, args);
    va_end(args);
    end();
}

const vkd_run *vkd_run_options(void) {
    return &run;
}

void vkd_run_set_quiet(bool quiet) {
    run.quiet = quiet;
}

void vkd_run_set_data(char *path) {
    run.data = path;
}

void vkd_run_always_seed(void) {
    run.seeded = true;
}

int vkd_verbose(void) {
    return !run.quiet;
}

static const char *take_flag(int argc, char **argv, const char *flag) {
    for (int i = 0; i < argc && argv[i]; ++i) {
        if (strcmp(argv[i], flag)) continue;
        if (vkd_flag_lacks_value(argc, argv, i)) vkd_fail("%s needs a value", flag);
        const char *value = argv[i + 1];
        for (int j = i; j + 2 < argc; ++j)
            argv[j] = argv[j + 2];
        argv[argc - 1] = argv[argc - 2] = NULL;
        return value;
    }
    return NULL;
}

void vkd_run_parse(int argc, char **argv) {
    run.teacher_cfg = take_flag(argc, argv, "-teacher_cfg");
    run.teacher_weights = take_flag(argc, argv, "-teacher_weights");
    run.calibration = take_flag(argc, argv, "-calibration");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    run.seed = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
    // `rnn generate -seed TEXT` is Darknet's own.
    const char *seed = argc > 1 && argv[1] && !strcmp(argv[1], "rnn") ? NULL : take_flag(argc, argv, "-seed");
    if (!seed) return;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(seed, &end, 10);
    if (end == seed || *end || errno || seed[0] == '-')
        vkd_fail("-seed: found \"%s\"; expected an integer >= 0", seed);
    run.seeded = true;
    run.seed = value;
}

// ---- random numbers
// -----------------------------------------------------------------------------------------

int vkd_rand(void) {
    if (!run.seeded) return rand();
    return (int)(vkd_rng_next(&sequence) % ((uint64_t)RAND_MAX + 1));
}

// A batch has fewer than 2^20 places.
static uint64_t index_of(uint64_t batch, uint64_t place) {
    return batch << 20 | place;
}

void vkd_seed_thread(uint64_t stream, uint64_t batch, uint64_t place) {
    ++sequences_begun;
    if (run.seeded) vkd_rng_seed(&sequence, run.seed, stream, index_of(batch, place));
}

size_t vkd_sequence(void) {
    return sequences_begun;
}

uint64_t vkd_loading_index(int i) {
    return index_of(loading_batch, (uint64_t)(loading_place + i));
}

void vkd_set_next_load(uint64_t batch) {
    atomic_store(&next_load, batch);
}

size_t vkd_next_load(size_t batch) {
    return batch ? batch : (size_t)atomic_fetch_add(&next_load, 1);
}

void vkd_loader_begin(size_t batch, int place) {
    loading_batch = batch;
    loading_place = place;
    vkd_seed_thread(VKD_STREAM_AUGMENTATION, batch, (uint64_t)place);
}

void vkd_seed_choice(int i) {
    vkd_seed_thread(VKD_STREAM_CHOICE, loading_batch, (uint64_t)(loading_place + i));
}

void vkd_seed_augmentation(int i) {
    vkd_seed_thread(VKD_STREAM_AUGMENTATION, loading_batch, (uint64_t)(loading_place + i));
}

void vkd_loader_placed(int i, int x, int y, int w, int h, int frame_w, int frame_h, int flip) {
    int left = flip ? frame_w - x - w : x;
    vkd_frame frame = {(float)left / (float)frame_w, (float)y / (float)frame_h,
                       (float)(left + w) / (float)frame_w, (float)(y + h) / (float)frame_h};
    vkd_padding_set(loading_batch, loading_place + i, frame);
}
