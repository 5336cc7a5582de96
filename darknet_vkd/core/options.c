// Reads the vkd part of a student's cfg: which section a line is in, which rules hold between keys and
// sections. What a single key may be is the table's business (option_table.c).
#include "core/options.h"
#include "core/cfg_text.h"
#include "core/option_table.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum where { ABOVE_ALL, IN_NET, IN_LAYER, IN_WHITEN, IN_PROJECTION } where;

typedef struct reader {
    vkd_cfg *cfg;
    vkd_error *err;
    where where;
    bool whiten_waits;         // a [vkd_whiten] was read, its [vkd_projection] has not come yet
    vkd_whiten_options whiten; // the current or the waiting one
    vkd_tap_options tap;       // the current one
} reader;

static int row_of(const vkd_option_section *section, const char *key) {
    return vkd_option_find(section, key);
}

static const vkd_option_section *section_of(const reader *r) {
    switch (r->where) {
    case IN_NET:
        return &vkd_net_section;
    case IN_WHITEN:
        return &vkd_whiten_section;
    case IN_PROJECTION:
        return &vkd_projection_section;
    default:
        return NULL;
    }
}

// "[section]: message" at a line of the file, without a key.
static vkd_status refuse_section(reader *r, int line, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static vkd_status refuse_section(reader *r, int line, const char *name, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line, name, NULL, "%s", message);
}

// Makes text fit to be shown: no control characters.
static void make_printable(char *text) {
    for (; *text; ++text)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e) *text = '?';
}

// ---------------------------------------------------------------------------------------------- one
// section's end

static vkd_status check_projection(reader *r) {
    const vkd_option_section *s = &vkd_projection_section;
    vkd_tap_options *tap = &r->tap;
    const int *line = tap->key_line;
    // The default map has a closed form for one loss alone, and an image as a whole has no foreground.
    if (!line[row_of(s, "map")] && tap->loss != VKD_OPTION_LOSS_L2) tap->map = VKD_OPTION_MAP_MATRIX_EXP;
    if (!line[row_of(s, "foreground")] && tap->pool != VKD_OPTION_POOL_DENSE) tap->foreground = 0;
    vkd_status status = vkd_option_finish((vkd_place){r->cfg->path, tap->line, s}, tap, line, r->err);
    if (status != VKD_OK) return status;
    int ratio = line[row_of(s, "ratio")], weight = line[row_of(s, "weight")];
    tap->has_weight = weight != 0;
    if (ratio && weight) {
        bool ratio_first = ratio < weight;
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, ratio_first ? weight : ratio, s->name,
                            ratio_first ? "weight" : "ratio",
                            "set beside %s on line %d; expected one of the two",
                            ratio_first ? "ratio" : "weight", ratio_first ? ratio : weight);
    }
    if (tap->map == VKD_OPTION_MAP_PROCRUSTES && tap->loss != VKD_OPTION_LOSS_L2)
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line[row_of(s, "map")], s->name,
                            "map",
                            "\"procrustes\" with loss=%s; expected loss=l2, which it is the solution of",
                            vkd_option_word("loss", tap->loss));
    if (tap->until > 0 && tap->until <= tap->warmup)
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line[row_of(s, "until")], s->name,
                            "until",
                            "%d with warmup=%d; expected more than warmup, or 0 for the end of training",
                            tap->until, tap->warmup);
    return VKD_OK;
}

static vkd_status check_whiten(reader *r) {
    const vkd_option_section *s = &vkd_whiten_section;
    const vkd_whiten_options *w = &r->whiten;
    vkd_status status = vkd_option_finish((vkd_place){r->cfg->path, w->line, s}, w, w->key_line, r->err);
    if (status != VKD_OK) return status;
    if (w->whitening == VKD_OPTION_WHITENING_CHOLESKY && w->rank > 0)
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, w->key_line[row_of(s, "whitening")],
                            s->name, "whitening",
                            "\"cholesky\" with rank=%d; expected rank=0 or whitening=zca", w->rank);
    return VKD_OK;
}

static vkd_status keep_tap(reader *r) {
    vkd_cfg *cfg = r->cfg;
    vkd_tap_options *grown = realloc(cfg->taps, ((size_t)cfg->tap_count + 1) * sizeof(*grown));
    if (!grown) return vkd_error_set(r->err, VKD_OUT_OF_MEMORY, "%.512s: out of memory", cfg->path);
    cfg->taps = grown;
    cfg->taps[cfg->tap_count++] = r->tap;
    return VKD_OK;
}

// The current section is complete: `next` is the header that follows, or NULL at the end of the file.
static vkd_status end_section(reader *r, const char *next) {
    vkd_status status = VKD_OK;
    if (r->where == IN_WHITEN) {
        status = check_whiten(r);
        if (status != VKD_OK) return status;
        if (!next || strcmp(next, "[vkd_projection]") != 0)
            return refuse_section(r, r->whiten.line, vkd_whiten_section.name,
                                  "followed by %.64s; expected [vkd_projection] right below it",
                                  next ? next : "the end of the file");
        r->whiten_waits = true;
    } else if (r->where == IN_PROJECTION) {
        status = check_projection(r);
        if (status == VKD_OK) status = keep_tap(r);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------- one
// section's start

static bool is_net(const char *header) {
    return strcmp(header, "[net]") == 0 || strcmp(header, "[network]") == 0;
}

// "[vkd_projecton]", "[vkd_whiten] # left": the host would take it for a layer of a type it does not know.
static vkd_status refuse_almost_ours(reader *r, int line, const char *header) {
    const vkd_option_section *ours[] = {&vkd_whiten_section, &vkd_projection_section};
    char name[64];
    size_t length = strcspn(header + 1, "]");
    if (length >= sizeof(name)) return VKD_OK;
    memcpy(name, header + 1, length);
    name[length] = '\0';
    for (int i = 0; i < 2; ++i) {
        if (strcmp(name, ours[i]->name) == 0 && strcmp(header + 1 + length, "]") == 0) return VKD_OK;
        if (strcmp(name, ours[i]->name) == 0)
            return header[length + 1] == ']'
                       ? refuse_section(r, line, name, "text behind the section's name; expected [%s] alone",
                                        name)
                       : refuse_section(r, line, name, "no \"]\"; expected [%s]", name);
        if (vkd_name_is_near(ours[i]->name, name))
            return refuse_section(r, line, name, "unknown section; did you mean [%s]?", ours[i]->name);
    }
    if (strncmp(name, "vkd", 3) == 0)
        return refuse_section(r, line, name, "unknown section; expected [vkd_projection] or [vkd_whiten]");
    return VKD_OK;
}

static void start_whiten(reader *r, int line) {
    r->where = IN_WHITEN;
    r->whiten = (vkd_whiten_options){0};
    vkd_option_defaults(&vkd_whiten_section, &r->whiten);
    r->whiten.line = line;
}

static void start_projection(reader *r, int line) {
    r->where = IN_PROJECTION;
    r->tap = (vkd_tap_options){0};
    vkd_option_defaults(&vkd_projection_section, &r->tap);
    r->tap.line = line;
    r->tap.place = r->cfg->layers;
    if (!r->whiten_waits) {
        r->whiten = (vkd_whiten_options){0};
        vkd_option_defaults(&vkd_whiten_section, &r->whiten);
    }
    r->tap.whiten = r->whiten;
    r->whiten_waits = false;
}

static vkd_status on_header(reader *r, const vkd_cfg_line *line) {
    char header[128]; // longer ones are no name of ours, and are layers to us
    vkd_cfg_squeeze(line->text, line->text_length, header, sizeof(header));
    make_printable(header);
    vkd_status status = end_section(r, header);
    if (status != VKD_OK) return status;
    bool first = r->where == ABOVE_ALL;
    status = refuse_almost_ours(r, line->number, header);
    if (status != VKD_OK) return status;
    bool whiten = strcmp(header, "[vkd_whiten]") == 0, projection = strcmp(header, "[vkd_projection]") == 0;
    if (first && (whiten || projection))
        return refuse_section(r, line->number, whiten ? "vkd_whiten" : "vkd_projection",
                              "stands above [net]; expected [net] first");
    if (first != is_net(header))
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line->number, NULL, NULL,
                            first ? "%s is the first section; expected [net]" : "%s again; expected one",
                            header);
    if (whiten) {
        start_whiten(r, line->number);
    } else if (projection) {
        start_projection(r, line->number);
    } else if (first) {
        r->where = IN_NET;
    } else {
        r->where = IN_LAYER;
        r->cfg->layers += 1;
    }
    return VKD_OK;
}

// ---------------------------------------------------------------------------------------------------- one
// option

// Up to the comment that may stand behind a value. A path may hold a '#': there it needs white space before
// it.
static size_t without_comment(const char *text, size_t length, bool anywhere) {
    for (size_t i = 0; i < length; ++i)
        if (text[i] == '#' && (anywhere || i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t')) return i;
    return length;
}

static vkd_status refuse_key(reader *r, const vkd_cfg_line *line, char *key) {
    const vkd_option_section *section = section_of(r);
    const char *nearest = vkd_option_nearest(section, key);
    char keys[512];
    vkd_option_keys(section, keys, sizeof(keys));
    make_printable(key);
    if (nearest)
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line->number, section->name, key,
                            "unknown key; did you mean %s?", nearest);
    return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line->number, section->name, key,
                        "unknown key; expected %s", keys);
}

// value[0, length) as the row's type wants it: a path keeps the spaces inside, all else loses them as in
// Darknet.
static vkd_status set_row(reader *r, const vkd_cfg_line *line, int row, const char *value, size_t length) {
    const vkd_option_section *section = section_of(r);
    void *record = r->where == IN_NET      ? (void *)r->cfg
                   : r->where == IN_WHITEN ? (void *)&r->whiten
                                           : (void *)&r->tap;
    int *key_line = r->where == IN_NET      ? r->cfg->key_line
                    : r->where == IN_WHITEN ? r->whiten.key_line
                                            : r->tap.key_line;
    if (key_line[row])
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line->number, section->name,
                            section->rows[row].key, "set twice, first on line %d; expected once",
                            key_line[row]);
    char *copy = malloc(length + 1);
    if (!copy) return vkd_error_set(r->err, VKD_OUT_OF_MEMORY, "%.512s: out of memory", r->cfg->path);
    if (section->rows[row].type == VKD_ROW_PATH) {
        while (length > 0 && strchr(" \t\r", *value))
            ++value, --length;
        while (length > 0 && strchr(" \t\r", value[length - 1]))
            --length;
        memcpy(copy, value, length);
        copy[length] = '\0';
    } else {
        vkd_cfg_squeeze(value, length, copy, length + 1);
    }
    vkd_place place = {r->cfg->path, line->number, section};
    vkd_status status = vkd_option_set(place, &section->rows[row], record, copy, r->err);
    if (status == VKD_OK) key_line[row] = line->number;
    free(copy);
    return status;
}

static vkd_status on_option(reader *r, const vkd_cfg_line *line) {
    if (r->where == IN_LAYER) return VKD_OK;
    char shown[65], key[65];
    snprintf(shown, sizeof(shown), "%.*s", (int)(line->text_length < 64 ? line->text_length : 64),
             line->text);
    make_printable(shown);
    if (r->where == ABOVE_ALL)
        return vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, line->number, NULL, NULL,
                            "\"%s\" stands above the first section; expected [net]", shown);
    const vkd_option_section *section = section_of(r);
    bool in_net = r->where == IN_NET;
    size_t length = without_comment(line->text, line->text_length, !in_net);
    const char *equals = memchr(line->text, '=', length);
    size_t key_length = equals ? (size_t)(equals - line->text) : length;
    bool cut = vkd_cfg_squeeze(line->text, key_length, key, sizeof(key)) >= sizeof(key);
    int row = cut ? -1 : vkd_option_find(section, key);
    // The other keys of [net] are Darknet's, right or wrong; what nearly names a teacher is ours.
    if (in_net && row < 0 && strncmp(key, "teacher", 7) != 0 && !vkd_option_nearest(section, key))
        return VKD_OK;
    if (!equals)
        return refuse_section(r, line->number, section->name, "\"%s\" has no \"=\"; expected key=value",
                              shown);
    if (key_length == 0)
        return refuse_section(r, line->number, section->name, "\"%s\" has no key; expected key=value", shown);
    if (row < 0) return refuse_key(r, line, key);
    return set_row(r, line, row, equals + 1, length - key_length - 1);
}

// ------------------------------------------------------------------------------------------------------ the
// file

// `from` of every tap, once the number of layers is known.
static vkd_status resolve_from(reader *r) {
    vkd_cfg *cfg = r->cfg;
    for (int i = 0; i < cfg->tap_count; ++i) {
        vkd_tap_options *tap = &cfg->taps[i];
        int from = tap->from;
        if (from < 0 && -(long long)from <= tap->place)
            tap->from = tap->place + from;
        else if (from < 0 && tap->place > 1)
            return vkd_tap_error(r->err, cfg, i, "from",
                                 "%d counts back over %d layers; expected -%d to -1, or 0 to %d", from,
                                 tap->place, tap->place, cfg->layers - 1);
        else if (from < 0 && tap->place == 1)
            return vkd_tap_error(r->err, cfg, i, "from",
                                 "%d counts back over 1 layer; expected -1, or 0 to %d", from,
                                 cfg->layers - 1);
        else if (from < 0 && cfg->layers > 0)
            return vkd_tap_error(r->err, cfg, i, "from",
                                 "%d, and no layer stands above the section; expected 0 to %d", from,
                                 cfg->layers - 1);
        else if (cfg->layers == 0)
            return vkd_tap_error(r->err, cfg, i, "from", "%d, and the cfg has no layer", from);
        else if (from >= cfg->layers)
            return vkd_tap_error(r->err, cfg, i, "from", "%d is no layer of the student; expected 0 to %d",
                                 from, cfg->layers - 1);
    }
    return VKD_OK;
}

static vkd_status read_lines(reader *r, const vkd_cfg_text *text) {
    vkd_status status = VKD_OK;
    vkd_cfg_line line = {0};
    while (status == VKD_OK && vkd_cfg_text_next(text, &line)) {
        if (line.kind == VKD_LINE_SECTION) status = on_header(r, &line);
        if (line.kind == VKD_LINE_OPTION) status = on_option(r, &line);
    }
    if (status == VKD_OK) status = end_section(r, NULL);
    if (status == VKD_OK && r->where == ABOVE_ALL)
        status = vkd_error_at(r->err, VKD_INVALID_ARGUMENT, r->cfg->path, 0, NULL, NULL,
                              "no section; expected [net] and layers");
    return status == VKD_OK ? resolve_from(r) : status;
}

vkd_status vkd_cfg_read(const char *path, vkd_cfg *out, vkd_error *err) {
    *out = (vkd_cfg){0};
    vkd_cfg_text text;
    vkd_status status = vkd_cfg_text_read(path, &text, err);
    if (status != VKD_OK) return status;
    size_t size = strlen(path) + 1;
    out->path = malloc(size);
    if (out->path) {
        memcpy(out->path, path, size);
        reader r = {.cfg = out, .err = err};
        vkd_option_defaults(&vkd_net_section, out);
        status = read_lines(&r, &text);
    } else {
        status = vkd_error_set(err, VKD_OUT_OF_MEMORY, "%.512s: out of memory", path);
    }
    free(text.bytes);
    return status;
}

void vkd_cfg_free(vkd_cfg *cfg) {
    if (!cfg) return;
    free(cfg->path);
    free(cfg->teacher_cfg);
    free(cfg->teacher_weights);
    free(cfg->taps);
    *cfg = (vkd_cfg){0};
}

bool vkd_tap_sets(const vkd_tap_options *tap, const char *key) {
    return tap->key_line[row_of(&vkd_projection_section, key)] != 0;
}

vkd_status vkd_tap_error(vkd_error *err, const vkd_cfg *cfg, int tap, const char *key, const char *format,
                         ...) {
    const vkd_tap_options *t = &cfg->taps[tap];
    const vkd_option_section *section = &vkd_projection_section;
    int row = vkd_option_find(section, key), line = t->line;
    if (row >= 0) {
        if (t->key_line[row]) line = t->key_line[row];
    } else if ((row = vkd_option_find(&vkd_whiten_section, key)) >= 0 && t->whiten.line) {
        section = &vkd_whiten_section;
        line = t->whiten.key_line[row] ? t->whiten.key_line[row] : t->whiten.line;
    }
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return vkd_error_at(err, VKD_INVALID_ARGUMENT, cfg->path, line, section->name, key, "%s", message);
}

vkd_status vkd_net_error(vkd_error *err, const vkd_cfg *cfg, const char *key, const char *format, ...) {
    int row = vkd_option_find(&vkd_net_section, key);
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return vkd_error_at(err, VKD_INVALID_ARGUMENT, cfg->path, row < 0 ? 0 : cfg->key_line[row],
                        vkd_net_section.name, key, "%s", message);
}
