// What Darknet's parser takes on trust: before it parses a section, its keys are held against the tables, and
// what the layer would allocate against what int counts and what the machine has.
#define _POSIX_C_SOURCE 200809L
#include "core/cfg_text.h"
#include "host/darknet_check.h"
#include "host/hooks.h"
#include "host/plugin.h"
#include "host/run.h"

#include "network.h"
#include "option_list.h"
#include "parser.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const kvp *vkd_find(const vkd_checker *c, const char *key) {
    for (const node *at = c->section->options->front; at; at = at->next)
        if (!strcmp(((const kvp *)at->val)->key, key)) return at->val;
    return NULL;
}

bool vkd_is_set(const vkd_checker *c, const char *key) {
    return vkd_find(c, key) != NULL;
}

void vkd_refuse(const vkd_checker *c, const char *key, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const kvp *option = key ? vkd_find(c, key) : NULL;
    vkd_error err;
    vkd_error_at(&err, VKD_INVALID_ARGUMENT, c->file, option ? option->line : c->section->line, c->name, key,
                 "%s", message);
    vkd_fail("%s", err.text);
}

// ---- keys
// -------------------------------------------------------------------------------------------------

static void set(vkd_checker *c, const vkd_option_section *table, int row, const kvp *option,
                const char *value) {
    vkd_option_section named = *table;
    named.name = c->name;
    vkd_error err;
    if (vkd_option_set((vkd_place){c->file, option->line, &named}, &table->rows[row], &c->keys, value, &err))
        vkd_fail("%s", err.text);
}

void vkd_next_number(vkd_checker *c, int row, const kvp *option, const char **at) {
    char number[64];
    size_t length = strcspn(*at, ",");
    if (length >= sizeof number)
        vkd_refuse(c, option->key, "a number of %zu characters; expected at most %zu", length,
                   sizeof number - 1);
    memcpy(number, *at, length);
    number[length] = '\0';
    set(c, &c->tables->lists, row, option, number);
    *at = (*at)[length] ? *at + length + 1 : NULL;
}

// Darknet reads the first of two that have the same name. Behind a value may stand a comment: it goes.
static void read_keys(vkd_checker *c) {
    const vkd_option_section *tables[] = {&c->tables->values, &vkd_darknet_common, &c->tables->lists};
    bool seen[3][VKD_DARKNET_KEYS] = {{false}};
    vkd_option_defaults(&c->tables->values, &c->keys);
    for (node *node = c->section->options->front; node; node = node->next) {
        kvp *option = node->val;
        for (int t = 0; t < 3; ++t) {
            int row = vkd_option_find(tables[t], option->key);
            bool of_layers = tables[t] == &vkd_darknet_common;
            if (row < 0 || seen[t][row] || (of_layers && c->index < 0)) continue;
            seen[t][row] = true;
            option->val[strcspn(option->val, "#")] = '\0';
            if (tables[t] != &c->tables->lists) {
                set(c, tables[t], row, option, option->val);
                continue;
            }
            for (const char *at = option->val; at;)
                vkd_next_number(c, row, option, &at);
        }
    }
}

int vkd_numbers_of(const vkd_checker *c, const char *key) {
    const kvp *option = vkd_find(c, key);
    int count = option != NULL;
    for (const char *at = option ? option->val : ""; *at; ++at)
        count += *at == ',';
    return count;
}

// ---- [net]
// ------------------------------------------------------------------------------------------------

static void check_net(const vkd_checker *c) {
    const vkd_darknet_keys *k = &c->keys;
    if (k->batch < k->subdivisions)
        vkd_refuse(c, vkd_is_set(c, "subdivisions") ? "subdivisions" : "batch",
                   "%d with batch=%d; expected at most that", k->subdivisions, k->batch);
    int images = k->batch / k->subdivisions;
    double batch = (double)images * k->time_steps, inputs = (double)k->width * k->height * k->channels;
    const int wanted = vkd_channels_wanted();
    if (wanted && k->channels != wanted)
        vkd_refuse(c, "channels", "%d; expected the student's %d", k->channels, wanted);
    if (inputs == 0 && k->inputs == 0)
        vkd_refuse(c, "width",
                   "width=%d height=%d channels=%d; expected numbers above 0, or inputs=", k->width,
                   k->height, k->channels);
    if (inputs > 0 && vkd_is_set(c, "inputs") && inputs != k->inputs)
        vkd_refuse(c, "inputs", "%d; expected width*height*channels = %.0f", k->inputs, inputs);
    if (inputs == 0) inputs = k->inputs;
    if (batch > INT_MAX || batch * inputs > INT_MAX)
        vkd_refuse(c, inputs > batch ? k->width ? "width" : "inputs" : "batch",
                   "%.4g numbers of input; Darknet counts up to %d", batch * inputs, INT_MAX);
    int steps = vkd_numbers_of(c, "steps"), scales = vkd_numbers_of(c, "scales");
    if (k->policy == VKD_DARKNET_STEPS && (!steps || steps != scales))
        vkd_refuse(c, steps ? "scales" : "steps",
                   "%d steps and %d scales; expected as many of each, and one at least", steps, scales);
}

__attribute__((noreturn)) static void refuse_unknown(const char *file, const cfg_section *section) {
    char shown[72];
    snprintf(shown, sizeof shown, "%s", section->type);
    for (char *at = shown; *at; ++at)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e) *at = '?';
    vkd_fail("%s:%d: unknown section %s", file, section->line, shown);
}

void vkd_check_section(const network *net, int index, const char *file, const void *section, double *bytes) {
    const cfg_section *s = section;
    char name[64];
    LAYER_TYPE type = string_to_layer_type(s->type);
    vkd_checker c = {.file = file, .section = s, .name = name, .net = net, .index = index, .bytes = bytes};
    if (type == BLANK || (index >= 0 && type == NETWORK)) refuse_unknown(file, s);
    snprintf(name, sizeof name, "%.*s", (int)strlen(s->type) - 2, s->type + 1); // without the brackets
    c.tables = vkd_darknet_section_of(type);
    const layer *before = index > 0 ? &net->layers[index - 1] : NULL;
    c.w = before ? before->out_w : net->w;
    c.h = before ? before->out_h : net->h;
    c.c = before ? before->out_c : net->c;
    c.inputs = before ? before->outputs : net->inputs;
    read_keys(&c);
    if (index < 0)
        check_net(&c);
    else
        vkd_check_layer(&c, type);
}

void vkd_skip_mark(char *line) {
    size_t mark = vkd_cfg_mark(line, strlen(line));
    memmove(line, line + mark, strlen(line + mark) + 1);
}
