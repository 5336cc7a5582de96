// What every input must come to: success, or one line that says where the fault is. Also files and a count.
#ifndef TESTS_FUZZ_ORACLE_H
#define TESTS_FUZZ_ORACLE_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long fuzz_accepted, fuzz_refusals;
static FILE *fuzz_report; // stderr as it was: a harness may put another in its place

static void fuzz_print_count(void) {
    fprintf(fuzz_report, "inputs: %lu, accepted: %lu, refused with a line: %lu\n",
            fuzz_accepted + fuzz_refusals, fuzz_accepted, fuzz_refusals);
}

static void fuzz_count(bool accepted) {
    if (!fuzz_report) fuzz_report = stderr;
    if (fuzz_accepted + fuzz_refusals == 0) atexit(fuzz_print_count);
    ++*(accepted ? &fuzz_accepted : &fuzz_refusals);
}

__attribute__((noreturn)) static void fuzz_fault(const char *what) {
    fprintf(fuzz_report ? fuzz_report : stderr, "fault: %s\n", what);
    abort();
}

// One of a few files in memory with these bytes; the path is valid till the next of the same number.
static const char *fuzz_file(int number, const void *bytes, size_t size) {
    static char paths[4][32];
    static int files[4];
    if (!files[number]) {
        files[number] = memfd_create("cfg", 0);
        snprintf(paths[number], sizeof paths[number], "/proc/self/fd/%d", files[number]);
    }
    if (files[number] < 0 || ftruncate(files[number], 0) ||
        pwrite(files[number], bytes, size, 0) != (ssize_t)size)
        fuzz_fault("no file in memory");
    return paths[number];
}

// What no line is to blame for.
static bool fuzz_needs_no_line(const char *message) {
    static const char *const whole[] = {"no sections", "no section; expected [net]", "no [vkd_projection]; ",
                                        "no teacher is named; "};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; ++i)
        if (!strncmp(message, whole[i], strlen(whole[i]))) return true;
    return false;
}

// "PATH:LINE: [section] key: found, expected", in one line.
static void fuzz_refused(const char *line, const char *path) {
    size_t n = strlen(path);
    if (strncmp(line, path, n) || line[n] != ':' || strchr(line, '\n')) fuzz_fault(line);
    const char *at = line + n + 1;
    if (*at == ' ' && fuzz_needs_no_line(at + 1)) return;
    if (!isdigit((unsigned char)*at)) fuzz_fault(line);
    while (isdigit((unsigned char)*at))
        ++at;
    if (strncmp(at, ": ", 2) || strlen(at) < 8) fuzz_fault(line);
    if (getenv("FUZZ_SHOW")) fprintf(fuzz_report ? fuzz_report : stderr, "%s\n", line);
}

#endif
