#define _GNU_SOURCE
#include "fuzz/trap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
char *__real_strdup(const char *s);
FILE *__real_fopen(const char *path, const char *mode);
int __real_fclose(FILE *file);
void __real_exit(int status) __attribute__((noreturn));
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

static bool running;
static jmp_buf back;
static int status;

// ---- what is held: a table of pointers with open addressing
// ------------------------------------------------------

typedef struct held {
    void *p; // NULL: free; &held_table: was taken
    bool is_file;
} held;

enum { HELD = 1 << 17 };
static held held_table[HELD];
static uint32_t used[HELD]; // the places that are not free
static int used_count, held_count;

static void *const removed = held_table;

static held *place_of(const void *p) {
    uint32_t i = (uint32_t)(((uintptr_t)p >> 4) * 2654435761u) % HELD;
    for (int n = 0; held_table[i].p && held_table[i].p != p && n < HELD; ++n)
        i = (i + 1) % HELD;
    return &held_table[i];
}

static void *hold(void *p, bool is_file) {
    if (!running || !p) return p;
    held *at = place_of(p);
    if (at->p == p || used_count == HELD / 2) abort();
    *at = (held){p, is_file};
    used[used_count++] = (uint32_t)(at - held_table);
    ++held_count;
    return p;
}

static void let_go(void *p) {
    if (!held_count || !p) return;
    held *at = place_of(p);
    if (at->p != p) return;
    at->p = removed;
    --held_count;
}

int trap_left(void) {
    return held_count;
}

void trap_clear(void) {
    for (int i = 0; i < used_count; ++i) {
        held *at = &held_table[used[i]];
        if (at->p != removed && at->is_file)
            __real_fclose(at->p);
        else if (at->p != removed)
            __real_free(at->p);
        at->p = NULL;
    }
    used_count = held_count = 0;
}

void *__wrap_malloc(size_t size) {
    return hold(__real_malloc(size), false);
}

void *__wrap_calloc(size_t count, size_t size) {
    return hold(__real_calloc(count, size), false);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return hold(__real_aligned_alloc(alignment, size), false);
}

void *__wrap_realloc(void *p, size_t size) {
    void *grown = __real_realloc(p, size);
    if (grown || !size) let_go(p);
    return hold(grown, false);
}

void __wrap_free(void *p) {
    let_go(p);
    __real_free(p);
}

char *__wrap_strdup(const char *s) {
    return hold(__real_strdup(s), false);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    return hold(__real_fopen(path, mode), true);
}

int __wrap_fclose(FILE *file) {
    let_go(file);
    return __real_fclose(file);
}

void __wrap_exit(int code) {
    if (!running) __real_exit(code);
    status = code;
    longjmp(back, 1);
}

void __wrap__exit(int code) {
    __wrap_exit(code);
}

// vkd_fail holds one for ever, as its program ends; here the next one is to be heard too. There is one
// thread.
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
    return running ? 0 : __real_pthread_mutex_lock(mutex);
}

// ---- what is printed
// --------------------------------------------------------------------------------------------

static char tail[1 << 12];
static size_t tail_length;

static ssize_t keep_tail(void *cookie, const char *text, size_t size) {
    (void)cookie;
    const size_t room = sizeof tail - 1;
    size_t kept = size > room ? room : size, old = tail_length < room - kept ? tail_length : room - kept;
    memmove(tail, tail + tail_length - old, old);
    memcpy(tail + old, text + size - kept, kept);
    tail_length = old + kept;
    tail[tail_length] = '\0';
    return (ssize_t)size;
}

const char *trap_last_line(void) {
    while (tail_length && tail[tail_length - 1] == '\n')
        tail[--tail_length] = '\0';
    char *newline = strrchr(tail, '\n');
    return newline ? newline + 1 : tail;
}

int trap_status(void) {
    return status;
}

bool trap_run(void (*body)(char *, char *), char *a, char *b) {
    static FILE *log, *nowhere;
    if (!log) log = fopencookie(NULL, "w", (cookie_io_functions_t){.write = keep_tail});
    if (!nowhere) nowhere = __real_fopen("/dev/null", "w");
    if (!log || !nowhere) abort();
    FILE *const err = stderr, *const out = stdout;
    volatile bool good = false;
    tail_length = 0;
    tail[0] = '\0';
    stderr = log;
    stdout = nowhere;
    if (!setjmp(back)) {
        running = true;
        body(a, b);
        good = true;
    }
    running = false;
    fflush(log);
    fflush(nowhere);
    stderr = err;
    stdout = out;
    return good;
}
