// A cfg as numbered lines. The bytes stay as they are, lines are views into them.
#ifndef VKD_CORE_CFG_TEXT_H
#define VKD_CORE_CFG_TEXT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vkd_cfg_text {
    char *bytes; // (length), and a NUL behind them
    size_t length;
} vkd_cfg_text;

typedef enum vkd_line_kind {
    VKD_LINE_BLANK /* or a comment */,
    VKD_LINE_SECTION,
    VKD_LINE_OPTION
} vkd_line_kind;

typedef struct vkd_cfg_line {
    vkd_line_kind kind;
    int number;         // from 1
    const char *start;  // the whole line, its end of line included
    size_t size;        //
    const char *text;   // without white space at either end
    size_t text_length; //
} vkd_cfg_line;

// Bytes of the byte order mark of UTF-8 that bytes[0, length) begins with: 3, or 0 without one.
size_t vkd_cfg_mark(const char *bytes, size_t length);

// Reads the file, leaves out a byte order mark, and refuses what is no text: a NUL byte, or more than 16 MiB
// (the weights named as the cfg). On success the caller frees text->bytes.
vkd_status vkd_cfg_text_read(const char *path, vkd_cfg_text *text, vkd_error *err);

// The next line. Start with a zeroed *line; false at the end.
bool vkd_cfg_text_next(const vkd_cfg_text *text, vkd_cfg_line *line);

// Copies in[0, length) without any white space, as Darknet's strip() does (and '\r', which it forgets), into
// out[0, size): cut to size - 1, always ended by a NUL. Returns the length that was needed.
size_t vkd_cfg_squeeze(const char *in, size_t length, char *out, size_t size);

// True when in[0, length) without its white space is `word`.
bool vkd_cfg_is(const char *in, size_t length, const char *word);

#endif
