// The table of options: one row a key. The parser, the messages and the README's reference come from it.
// Also of Darknet's own keys (host/darknet_keys.c).
#ifndef VKD_CORE_OPTION_TABLE_H
#define VKD_CORE_OPTION_TABLE_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum vkd_row_type {
    VKD_ROW_INT,   // int
    VKD_ROW_FLOAT, // float
    VKD_ROW_WORD,  // int, one of `choices`
    VKD_ROW_PATH   // char *, malloc'ed
} vkd_row_type;

typedef struct vkd_option_row {
    const char *key;
    vkd_row_type type;
    size_t offset;       // of the field in the section's record
    const char *initial; // the default as the user would write it; NULL: there is none
    double min, max;     // of a number
    bool open_min, open_max;
    const char *const
        *choices; // of a word, NULL at the end; a word's place is its value (the enums of options.h)
    bool required;
    const char *needs_key; // this key counts only where needs_key has one of the values in needs (bits)
    unsigned needs;
    const char *help;
} vkd_option_row;

typedef struct vkd_option_section {
    const char *name; // without brackets
    const vkd_option_row *rows;
    int count;
} vkd_option_section;

extern const vkd_option_section vkd_net_section;        // record: vkd_cfg
extern const vkd_option_section vkd_projection_section; // record: vkd_tap_options
extern const vkd_option_section vkd_whiten_section;     // record: vkd_whiten_options

// Where a value stands, for the messages.
typedef struct vkd_place {
    const char *path;
    int line;
    const vkd_option_section *section;
} vkd_place;

// Index of the row, or -1.
int vkd_option_find(const vkd_option_section *section, const char *key);

// The name in the section nearest to an unknown key: a slip of the pen away (one edit; two in a name of six
// letters or more). NULL: none is near.
const char *vkd_option_nearest(const vkd_option_section *section, const char *key);

// The same for any two names, case ignored.
bool vkd_name_is_near(const char *known, const char *written);

// Every field to its default. Paths become NULL.
void vkd_option_defaults(const vkd_option_section *section, void *record);

// Reads `value` into the row's field, or says what is wrong with it.
vkd_status vkd_option_set(vkd_place place, const vkd_option_row *row, void *record, const char *value,
                          vkd_error *err);

// After the section's last key: required keys, and keys that have no effect with the others' values.
// key_line: (section->count), 0 where not set. place.line: the section's header.
vkd_status vkd_option_finish(vkd_place place, const void *record, const int *key_line, vkd_error *err);

// "an integer >= 0", "matrix_exp, cayley, linear or frozen": what the row accepts.
void vkd_option_expected(const vkd_option_row *row, char *out, size_t size);

// "from, map or loss": the section's keys.
void vkd_option_keys(const vkd_option_section *section, char *out, size_t size);

#endif
