// What the command line says for the whole run. Set once, before any network is read.
#ifndef VKD_HOST_RUN_H
#define VKD_HOST_RUN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct vkd_run {
    const char *teacher_cfg;     // NULL: the cfg's
    const char *teacher_weights; // NULL: the cfg's
    const char *calibration;     // a file of `vkd calibrate`; NULL: none
    char *data;                  // the data file of a training command; NULL: there is none
    bool seeded;
    uint64_t seed; // of the clock where not seeded
    bool quiet;    // layers print nothing at every step
} vkd_run;

const vkd_run *vkd_run_options(void);

// Takes -teacher_cfg, -teacher_weights, -calibration and -seed out of argv, as Darknet takes its flags: found
// ones become NULL at the end. A bad value is one line and exit status 1.
void vkd_run_parse(int argc, char **argv);
void vkd_run_set_quiet(bool quiet);
void vkd_run_set_data(char *path);
// From here on as with -seed, the seed being the clock's where none was given: every run can be repeated.
void vkd_run_always_seed(void);

// ---- random numbers ----

// What a sequence is for. The index is the batch, and the place in it.
enum {
    VKD_STREAM_WEIGHTS = 1,
    VKD_STREAM_CHOICE,
    VKD_STREAM_AUGMENTATION,
    VKD_STREAM_STEP,
    VKD_STREAM_SIZE,
    VKD_STREAM_ANOTHER
};

// Starts the calling thread's sequence for vkd_rand(), which without -seed goes on.
void vkd_seed_thread(uint64_t stream, uint64_t batch, uint64_t place);
// Of the i-th picture that the calling thread of the loader has: names it in the whole run.
uint64_t vkd_loading_index(int i);
// The loader's count of batches, for trainers that do not number them.
void vkd_set_next_load(uint64_t batch);

// One line on stderr, after what is on stdout, and exit status 1.
__attribute__((noreturn, format(printf, 1, 2))) void vkd_fail(const char *format, ...);

#endif
