// The README's reference of the cfg, written from the table of options.
#include "core/option_table.h"
#include "core/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct builder {
    char *text;
    size_t length, capacity;
    bool failed; // out of memory: all that follows is dropped
} builder;

static void put(builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(builder *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (b->failed || n < 0) return;
    size_t needed = b->length + (size_t)n + 1;
    if (needed > b->capacity) {
        char *grown = realloc(b->text, 2 * needed);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->text = grown;
        b->capacity = 2 * needed;
    }
    va_start(args, format);
    vsnprintf(b->text + b->length, b->capacity - b->length, format, args);
    va_end(args);
    b->length += (size_t)n;
}

// The words whose bit is set.
static void put_words(builder *b, const char *const *choices, unsigned bits) {
    const char *between = "";
    for (int v = 0; choices[v]; ++v) {
        if (!((bits >> v) & 1)) continue;
        put(b, "%s`%s`", between, choices[v]);
        between = ", ";
    }
}

static void put_values(builder *b, const vkd_option_row *row) {
    char expected[256];
    if (row->type == VKD_ROW_WORD) {
        put_words(b, row->choices, ~0u);
        return;
    }
    vkd_option_expected(row, expected, sizeof(expected));
    put(b, "%s", expected);
}

static void put_default(builder *b, const vkd_option_row *row) {
    if (row->initial)
        put(b, "`%s`", row->initial);
    else
        put(b, "%s", row->required ? "required" : "unset");
}

static void put_meaning(builder *b, const vkd_option_section *section, const vkd_option_row *row) {
    put(b, "%s", row->help);
    if (!row->needs_key) return;
    put(b, " (only with `%s` ", row->needs_key);
    put_words(b, section->rows[vkd_option_find(section, row->needs_key)].choices, row->needs);
    put(b, ")");
}

static void put_section(builder *b, const vkd_option_section *section) {
    put(b, "`[%s]`\n\n| key | values | default | meaning |\n|---|---|---|---|\n", section->name);
    for (int i = 0; i < section->count; ++i) {
        const vkd_option_row *row = &section->rows[i];
        put(b, "| `%s` | ", row->key);
        put_values(b, row);
        put(b, " | ");
        put_default(b, row);
        put(b, " | ");
        put_meaning(b, section, row);
        put(b, " |\n");
    }
}

vkd_status vkd_options_reference(char **text) {
    builder b = {0};
    put_section(&b, &vkd_net_section);
    put(&b, "\n");
    put_section(&b, &vkd_projection_section);
    put(&b, "\n");
    put_section(&b, &vkd_whiten_section);
    *text = b.failed ? NULL : b.text;
    if (!b.failed) return VKD_OK;
    free(b.text);
    return VKD_OUT_OF_MEMORY;
}
