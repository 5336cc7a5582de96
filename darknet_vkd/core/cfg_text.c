// Reading a cfg's lines, and writing it again without what is ours (vkd_cfg_strip).
#include "core/cfg_text.h"
#include "core/option_table.h"
#include "core/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CFG_BYTES = 16 << 20, FIRST_READ = 1 << 14 };

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

size_t vkd_cfg_mark(const char *bytes, size_t length) {
    static const char mark[] = "\xEF\xBB\xBF";
    return length >= 3 && !memcmp(bytes, mark, 3) ? 3 : 0;
}

// Reads to the end of the file, doubling *bytes. On failure *bytes still has to be freed.
static vkd_status read_all(FILE *file, const char *path, char **bytes, size_t *length, vkd_error *err) {
    size_t capacity = 0;
    for (;;) {
        if (*length + 1 >= capacity) {
            size_t larger = capacity ? 2 * capacity : FIRST_READ;
            char *grown = realloc(*bytes, larger);
            if (!grown) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%.512s: out of memory", path);
            *bytes = grown;
            capacity = larger;
        }
        size_t n = fread(*bytes + *length, 1, capacity - 1 - *length, file);
        *length += n;
        if (*length > MAX_CFG_BYTES)
            return vkd_error_set(err, VKD_INVALID_ARGUMENT, "%.512s: larger than 16 MiB; expected a cfg",
                                 path);
        if (n == 0) break;
    }
    if (ferror(file)) return vkd_error_set(err, VKD_IO, "%.512s: cannot be read: %s", path, strerror(errno));
    size_t mark = vkd_cfg_mark(*bytes, *length);
    *length -= mark;
    memmove(*bytes, *bytes + mark, *length);
    (*bytes)[*length] = '\0';
    return VKD_OK;
}

static vkd_status refuse_nul(const char *path, const char *bytes, size_t length, vkd_error *err) {
    const char *nul = memchr(bytes, '\0', length);
    if (!nul) return VKD_OK;
    int line = 1;
    for (const char *p = bytes; p < nul; ++p)
        line += *p == '\n';
    return vkd_error_at(err, VKD_INVALID_ARGUMENT, path, line, NULL, NULL, "a NUL byte; expected text");
}

vkd_status vkd_cfg_text_read(const char *path, vkd_cfg_text *text, vkd_error *err) {
    *text = (vkd_cfg_text){NULL, 0};
    if (!path || !*path) return vkd_error_set(err, VKD_INVALID_ARGUMENT, "no cfg was named");
    FILE *file = fopen(path, "rb");
    if (!file) return vkd_error_set(err, VKD_IO, "%.512s: cannot be opened: %s", path, strerror(errno));
    vkd_status status = read_all(file, path, &text->bytes, &text->length, err);
    fclose(file);
    if (status == VKD_OK) status = refuse_nul(path, text->bytes, text->length, err);
    if (status != VKD_OK) {
        free(text->bytes);
        *text = (vkd_cfg_text){NULL, 0};
    }
    return status;
}

bool vkd_cfg_text_next(const vkd_cfg_text *text, vkd_cfg_line *line) {
    const char *end = text->bytes + text->length;
    const char *start = line->start ? line->start + line->size : text->bytes;
    if (start == end) return false;
    const char *newline = memchr(start, '\n', (size_t)(end - start));
    const char *stop = newline ? newline + 1 : end;
    line->number += 1;
    line->start = start;
    line->size = (size_t)(stop - start);
    while (start < stop && is_space(*start))
        ++start;
    while (stop > start && is_space(stop[-1]))
        --stop;
    line->text = start;
    line->text_length = (size_t)(stop - start);
    if (start == stop || *start == '#' || *start == ';')
        line->kind = VKD_LINE_BLANK;
    else
        line->kind = *start == '[' ? VKD_LINE_SECTION : VKD_LINE_OPTION;
    return true;
}

size_t vkd_cfg_squeeze(const char *in, size_t length, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < length; ++i) {
        if (is_space(in[i])) continue;
        if (n + 1 < size) out[n] = in[i];
        ++n;
    }
    out[n < size ? n : size - 1] = '\0';
    return n;
}

bool vkd_cfg_is(const char *in, size_t length, const char *word) {
    for (size_t i = 0; i < length; ++i) {
        if (is_space(in[i])) continue;
        if (*word == '\0' || in[i] != *word) return false;
        ++word;
    }
    return *word == '\0';
}

// Is this line of [net] one of our keys?
static bool is_teacher_key(const vkd_cfg_line *line) {
    const char *equals = memchr(line->text, '=', line->text_length);
    if (!equals) return false;
    for (int i = 0; i < vkd_net_section.count; ++i)
        if (vkd_cfg_is(line->text, (size_t)(equals - line->text), vkd_net_section.rows[i].key)) return true;
    return false;
}

// "[NAME", whatever stands behind: also what a reader would refuse must not stay in a plain cfg.
static bool is_header(const vkd_cfg_line *line, const char *start) {
    char header[64];
    vkd_cfg_squeeze(line->text, line->text_length, header, sizeof(header));
    return !strncmp(header, start, strlen(start));
}

/*
 * Moves the lines that stay to the front of the same buffer and returns their length. Of a vkd section all
 * goes from its header to its last key; comments and empty lines behind that speak of what follows, and stay.
 */
static size_t strip_lines(const vkd_cfg_text *text) {
    size_t kept = 0, undecided = 0; // bytes that stay, and blank lines behind them that may still go
    bool in_vkd = false, in_net = false;
    vkd_cfg_line line = {0};
    while (vkd_cfg_text_next(text, &line)) {
        if (line.kind == VKD_LINE_SECTION) {
            in_vkd = is_header(&line, "[vkd");
            in_net = is_header(&line, "[net]") || is_header(&line, "[network]");
            kept += undecided;
            undecided = 0;
        }
        if (in_vkd && line.kind != VKD_LINE_BLANK) {
            undecided = 0;
            continue;
        }
        if (in_net && line.kind == VKD_LINE_OPTION && is_teacher_key(&line)) continue;
        // kept + undecided <= the line's own place: nothing that is still to be read is overwritten
        memmove(text->bytes + kept + undecided, line.start, line.size);
        if (in_vkd)
            undecided += line.size;
        else
            kept += line.size;
    }
    return kept + undecided;
}

vkd_status vkd_cfg_strip(const char *path, char **text, size_t *length, vkd_error *err) {
    *text = NULL;
    if (length) *length = 0;
    vkd_cfg_text cfg;
    vkd_status status = vkd_cfg_text_read(path, &cfg, err);
    if (status != VKD_OK) return status;
    size_t kept = strip_lines(&cfg);
    cfg.bytes[kept] = '\0';
    *text = cfg.bytes;
    if (length) *length = kept;
    return VKD_OK;
}
