#define _POSIX_C_SOURCE 200809L
#include "host/unreadable.h"

#include "core/file.h"
#include "host/hooks.h"
#include "host/run.h"
#include "numerics/rng.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LABEL_PATH = 4096, // Darknet's loader has as much
    NAMED = 5,         // missing pictures that are named before training
    ONE_IN = 10        // so many may be missing; more is a wrong path, not a lost file
};

// Darknet's loader hands no context through; several of its threads come here.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char **met; // (met_count) paths, which are the list's own strings
static int met_count, met_capacity;

static bool too_many(int missing, int of) {
    return missing > of / ONE_IN;
}

// True: for the first time. A list may name a picture several times, and each entry counts.
static bool remember(const char *path) {
    bool known = false;
    for (int i = 0; i < met_count; ++i) {
        if (met[i] == path) return false;
        known = known || !strcmp(met[i], path);
    }
    if (met_count == met_capacity) {
        met_capacity = met_capacity ? 2 * met_capacity : 16;
        met = realloc(met, (size_t)met_capacity * sizeof *met);
        if (!met) vkd_fail("no memory for the names of unreadable pictures");
    }
    met[met_count++] = path;
    return !known;
}

void vkd_check_pictures(const vkd_picture_list *list) {
    char label[LABEL_PATH];
    int missing = 0, unlabelled = 0;
    for (int i = 0; i < list->count; ++i) {
        labels_of_image(list->paths[i], label, sizeof label);
        unlabelled += access(label, F_OK) != 0;
        if (!access(list->paths[i], R_OK)) continue;
        int why = errno;
        if (++missing <= NAMED && remember(list->paths[i]))
            fprintf(stderr, "%s: %s\n", list->paths[i], strerror(why));
    }
    if (too_many(missing, list->count))
        vkd_fail("%s: %d of %d pictures are missing; expected at most one in ten", list->file, missing,
                 list->count);
    if (missing)
        fprintf(stderr, "%s: %d of %d pictures are missing; others take their places\n", list->file, missing,
                list->count);
    if (unlabelled == list->count)
        vkd_fail("%s: no label file for any of %d pictures; expected them at %s and the like", list->file,
                 list->count, label);
    if (unlabelled)
        fprintf(stderr, "%s: %d of %d pictures have no label file: pictures without objects\n", list->file,
                unlabelled, list->count);
}

// Whether a JPEG has its end-of-image marker (ITU-T T.81, B.1.1): after the start of a scan, 0xff is followed
// by 0, by a restart's number or by the next marker. A marker before that has a length, so that a thumbnail
// within it is passed over.
static bool has_end(const unsigned char *at, const unsigned char *end) {
    bool scans = false;
    for (at += 2; (at = memchr(at, 0xff, (size_t)(end - at))) && end - at > 1;) {
        unsigned char marker = *++at;
        if (marker == 0xd9) return true;
        if (marker == 0xff || marker == 0 || (marker >= 0xd0 && marker <= 0xd7)) continue;
        scans = scans || marker == 0xda;
        if (scans) continue;
        size_t length = end - at > 2 ? (size_t)at[1] << 8 | at[2] : 0;
        if (length >= (size_t)(end - at)) return false;
        at += 1 + length;
    }
    return false;
}

const char *vkd_cut_picture(const char *path) {
    unsigned char *data;
    size_t bytes;
    if (vkd_file_read(path, &data, &bytes, NULL)) return NULL;
    bool cut = bytes > 2 && data[0] == 0xff && data[1] == 0xd8 && !has_end(data, data + bytes);
    free(data);
    return cut ? "a JPEG without its end" : NULL;
}

int vkd_unreadable_count(void) {
    pthread_mutex_lock(&lock);
    int count = met_count;
    pthread_mutex_unlock(&lock);
    return count;
}

int vkd_another_picture(int i, int m, const char *path, const char *why) {
    pthread_mutex_lock(&lock);
    if (remember(path))
        fprintf(stderr, "%s%s: the picture cannot be read: %s; another takes its place\n",
                isatty(STDERR_FILENO) ? "\r\033[K" : "", path, why);
    if (too_many(met_count, m))
        vkd_fail("%d of %d training pictures cannot be read; expected at most one in ten", met_count, m);
    pthread_mutex_unlock(&lock);
    // The n-th try for one place takes the n-th number of the place's own sequence, so that the choice
    // repeats and no other choice changes.
    static _Thread_local vkd_rng sequence;
    static _Thread_local uint64_t of = UINT64_MAX;
    uint64_t index = vkd_loading_index(i);
    if (index != of) vkd_rng_seed(&sequence, vkd_run_options()->seed, VKD_STREAM_ANOTHER, index);
    of = index;
    return (int)(vkd_rng_next(&sequence) % (uint64_t)m);
}
