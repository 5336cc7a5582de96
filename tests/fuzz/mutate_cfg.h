// Mutations that know what a cfg's lines are: libFuzzer's own, byte by byte, seldom leave one that is read to
// its end.
#ifndef TESTS_FUZZ_MUTATE_CFG_H
#define TESTS_FUZZ_MUTATE_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static const char *const fuzz_values[] = {"0",
                                          "1",
                                          "2",
                                          "3",
                                          "4",
                                          "8",
                                          "-1",
                                          "-2",
                                          "16",
                                          "32",
                                          "255",
                                          "65536",
                                          "65537",
                                          "1000000",
                                          "2147483647",
                                          "2147483648",
                                          "-2147483648",
                                          "99999999999",
                                          "1e9",
                                          "1e-9",
                                          "1e39",
                                          "nan",
                                          "inf",
                                          "-inf",
                                          "abc",
                                          "0x10",
                                          "1.5",
                                          "",
                                          "1,2,3",
                                          "1,",
                                          ",",
                                          "-1,-2",
                                          "0,1",
                                          "10,13,16,30",
                                          "# no value",
                                          "8 # eight",
                                          "linear",
                                          "leaky",
                                          "steps",
                                          "poly",
                                          "whiten",
                                          "calibrated",
                                          "procrustes",
                                          "layernorm",
                                          "global",
                                          "cosine",
                                          "/",
                                          "/dev/null",
                                          "no/such/file",
                                          "%s%n",
                                          "\xEF\xBB\xBF",
                                          "\r",
                                          "=",
                                          "[net]"};

static uint32_t fuzz_state;

static uint32_t fuzz_below(size_t n) {
    fuzz_state = fuzz_state * 1664525u + 1013904223u;
    return n ? (fuzz_state >> 8) % (uint32_t)n : 0;
}

// Puts text[0, length) in the place of data[from, to); the new size, or the old one where it has no room.
static size_t fuzz_splice(uint8_t *data, size_t size, size_t most, size_t from, size_t to, const char *text,
                          size_t length) {
    if (size - (to - from) + length > most) return size;
    memmove(data + from + length, data + to, size - to);
    memcpy(data + from, text, length);
    return size - (to - from) + length;
}

// Some line's start and its end, the newline included.
static void fuzz_line(const uint8_t *data, size_t size, size_t *start, size_t *end) {
    *start = fuzz_below(size);
    while (*start > 0 && data[*start - 1] != '\n')
        --*start;
    *end = *start;
    while (*end < size && data[(*end)++] != '\n')
        ;
}

// A line that could stand in some cfg: "[maxpool]" or "stride=2".
static size_t fuzz_new_line(char *out, size_t room, const char *const *sections, size_t section_count,
                            const char *const *keys, size_t key_count) {
    const char *value = fuzz_values[fuzz_below(sizeof fuzz_values / sizeof *fuzz_values)];
    int n = fuzz_below(3) == 0 ? snprintf(out, room, "[%s]\n", sections[fuzz_below(section_count)])
                               : snprintf(out, room, "%s=%s\n", keys[fuzz_below(key_count)], value);
    return (size_t)n;
}

static size_t fuzz_mutate_line(uint8_t *data, size_t size, size_t most, const char *const *sections,
                               size_t section_count, const char *const *keys, size_t key_count) {
    size_t start, end, other, other_end;
    char text[512];
    fuzz_line(data, size, &start, &end);
    fuzz_line(data, size, &other, &other_end);
    uint8_t *equals = memchr(data + start, '=', end - start);
    switch (fuzz_below(6)) {
    case 0: // away with it
        return fuzz_splice(data, size, most, start, end, "", 0);
    case 1: // once more, elsewhere
        if (end - start > sizeof text) return size;
        memcpy(text, data + start, end - start);
        return fuzz_splice(data, size, most, other, other, text, end - start);
    case 2: // something else in its place
    case 3: {
        bool beside = fuzz_below(2);
        size_t n = fuzz_new_line(text, sizeof text, sections, section_count, keys, key_count);
        return fuzz_splice(data, size, most, start, beside ? start : end, text, n);
    }
    default: { // another value
        if (!equals) return size;
        const char *value = fuzz_values[fuzz_below(sizeof fuzz_values / sizeof *fuzz_values)];
        int n = fuzz_below(4) ? snprintf(text, sizeof text, "%s\n", value)
                              : snprintf(text, sizeof text, "%u\n", fuzz_below(40));
        return fuzz_splice(data, size, most, (size_t)(equals + 1 - data), end, text, (size_t)n);
    }
    }
}

// One mutation in five is of bytes, the others are one to four of lines.
static size_t fuzz_mutate_cfg(uint8_t *data, size_t size, size_t most, unsigned seed,
                              const char *const *sections, size_t section_count, const char *const *keys,
                              size_t key_count) {
    fuzz_state = seed;
    if (fuzz_below(5) == 0) return LLVMFuzzerMutate(data, size, most);
    for (uint32_t i = 0, n = 1 + fuzz_below(4); i < n; ++i)
        size = fuzz_mutate_line(data, size, most, sections, section_count, keys, key_count);
    return size ? size : LLVMFuzzerMutate(data, size, most);
}

#endif
