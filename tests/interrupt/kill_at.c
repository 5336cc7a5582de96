// To be preloaded: a kill at a chosen moment. KILL_AT=N ends the program, as SIGKILL does, at the N-th of the
// calls below that change files: before it, and within an fwrite(), of which half has reached the file then.
// KILL_COUNT=FILE writes down how many such calls a whole run makes. Calls for reading and for the standard
// streams are not counted.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;

static bool is_due(void) {
    const char *at = getenv("KILL_AT");
    return atomic_fetch_add(&calls, 1) + 1 == (at ? atol(at) : 0);
}

static void die_if_due(void) {
    if (is_due()) kill(getpid(), SIGKILL);
}

#define NEXT(result, name, ...) result (*next)(__VA_ARGS__) = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static bool is_standard(FILE *file) {
    return !file || file == stdout || file == stderr;
}

FILE *fopen(const char *path, const char *mode) {
    NEXT(FILE *, fopen, const char *, const char *);
    if (strpbrk(mode, "wa+")) die_if_due();
    return next(path, mode);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    NEXT(size_t, fwrite, const void *, size_t, size_t, FILE *);
    if (is_standard(file) || !is_due()) return next(data, size, count, file);
    next(data, 1, size * count / 2, file);
    fflush(file);
    kill(getpid(), SIGKILL);
    return 0;
}

#define OF_A_FILE(name)                                                                                      \
    int name(FILE *file) {                                                                                   \
        NEXT(int, name, FILE *);                                                                             \
        if (!is_standard(file)) die_if_due();                                                                \
        return next(file);                                                                                   \
    }
#define OF_A_NAME(name)                                                                                      \
    int name(const char *path) {                                                                             \
        NEXT(int, name, const char *);                                                                       \
        die_if_due();                                                                                        \
        return next(path);                                                                                   \
    }
#define OF_TWO_NAMES(name)                                                                                   \
    int name(const char *from, const char *to) {                                                             \
        NEXT(int, name, const char *, const char *);                                                         \
        die_if_due();                                                                                        \
        return next(from, to);                                                                               \
    }
OF_A_FILE(fflush)
OF_A_NAME(unlink)
OF_A_NAME(remove)
OF_TWO_NAMES(rename)
OF_TWO_NAMES(link)

int fsync(int file) {
    NEXT(int, fsync, int);
    die_if_due();
    return next(file);
}

__attribute__((destructor)) static void write_count(void) {
    const char *path = getenv("KILL_COUNT");
    long count = calls;
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", count);
    fclose(file);
}
