#include "core/option_table.h"
#include "core/options.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// To make a word that is still to come available, turn its `false` into `true`.
static const char *const map_words[] = {
    [VKD_OPTION_MAP_MATRIX_EXP] = "matrix_exp",   [VKD_OPTION_MAP_CAYLEY] = "cayley",
    [VKD_OPTION_MAP_HOUSEHOLDER] = "householder", [VKD_OPTION_MAP_PROCRUSTES] = "procrustes",
    [VKD_OPTION_MAP_LINEAR] = "linear",           [VKD_OPTION_MAP_FROZEN] = "frozen",
    [VKD_OPTION_MAP_IDENTITY] = "identity",       NULL};
static const char *const loss_words[] = {
    [VKD_OPTION_LOSS_L2] = "l2", [VKD_OPTION_LOSS_SMOOTH_L1] = "smooth_l1", NULL};
static const char *const student_norm_words[] = {[VKD_OPTION_STUDENT_NONE] = "none",
                                                 [VKD_OPTION_STUDENT_GAIN] = "gain",
                                                 [VKD_OPTION_STUDENT_STANDARDIZE] = "standardize",
                                                 [VKD_OPTION_STUDENT_LAYERNORM] = "layernorm",
                                                 NULL};
static const char *const pool_words[] = {
    [VKD_OPTION_POOL_DENSE] = "dense", [VKD_OPTION_POOL_GLOBAL] = "global", NULL};
static const char *const ramp_words[] = {[VKD_OPTION_RAMP_CONSTANT] = "constant",
                                         [VKD_OPTION_RAMP_COSINE] = "cosine",
                                         [VKD_OPTION_RAMP_LINEAR] = "linear",
                                         NULL};
static const char *const mode_words[] = {[VKD_OPTION_MODE_NONE] = "none",
                                         [VKD_OPTION_MODE_LAYERNORM] = "layernorm",
                                         [VKD_OPTION_MODE_STANDARDIZE] = "standardize",
                                         [VKD_OPTION_MODE_WHITEN] = "whiten",
                                         NULL};
static const char *const statistics_words[] = {[VKD_OPTION_STATISTICS_BATCH] = "batch",
                                               [VKD_OPTION_STATISTICS_RUNNING] = "running",
                                               [VKD_OPTION_STATISTICS_CALIBRATED] = "calibrated",
                                               NULL};
static const char *const whitening_words[] = {
    [VKD_OPTION_WHITENING_ZCA] = "zca", [VKD_OPTION_WHITENING_CHOLESKY] = "cholesky", NULL};

#define BIT(value)    (1u << (value))
#define TAP(field)    .offset = offsetof(vkd_tap_options, field)
#define WHITEN(field) .offset = offsetof(vkd_whiten_options, field)
#define CFG(field)    .offset = offsetof(vkd_cfg, field)
#define INT_FROM(low) .type = VKD_ROW_INT, .min = (low), .max = INT_MAX
#define FLOAT_FROM_0  .type = VKD_ROW_FLOAT, .min = 0, .max = FLT_MAX
#define WORD(list)    .type = VKD_ROW_WORD, .choices = (list)
#define ONLY_WHITEN   .needs_key = "mode", .needs = BIT(VKD_OPTION_MODE_WHITEN)

static const vkd_option_row projection_rows[] = {
    {"from", TAP(from), INT_FROM(INT_MIN), .initial = "-1",
     .help = "a layer of the student: absolute, or negative, counted back from the section's own place"},
    {"teacher_from", TAP(teacher_from), INT_FROM(INT_MIN), .required = true,
     .help = "a layer of the teacher: absolute, or negative, counted back from the teacher's end"},
    {"map", TAP(map), WORD(map_words), .initial = "procrustes",
     .help = "how P is kept orthonormal; procrustes is the closed form of loss=l2: the best P for a running "
             "average, without a step (the default with another loss is matrix_exp); linear (no constraint) "
             "and frozen (never updated) are baselines; identity has no P and wants equal channels on both "
             "sides, as between two heads' layers"},
    {"rebase", TAP(rebase), INT_FROM(0), .initial = "1", .needs_key = "map",
     .needs = BIT(VKD_OPTION_MAP_MATRIX_EXP) | BIT(VKD_OPTION_MAP_CAYLEY) | BIT(VKD_OPTION_MAP_HOUSEHOLDER),
     .help = "updates of P between re-basings; 0 is one base for the whole run"},
    {"momentum", TAP(momentum), .type = VKD_ROW_FLOAT, .min = 0, .max = 1, .open_max = true, .initial = "0.9",
     .needs_key = "map", .needs = ~(BIT(VKD_OPTION_MAP_FROZEN) | BIT(VKD_OPTION_MAP_IDENTITY)),
     .help = "what an update of P keeps of the running average: of the gradient, or (map=procrustes) of the "
             "cross-covariance"},
    {"loss", TAP(loss), WORD(loss_words), .initial = "l2",
     .help = "distance between a projected sample and its target"},
    {"ratio", TAP(ratio), FLOAT_FROM_0, .initial = "2",
     .help = "chooses the weight so that (norm of the vkd gradient) / (norm of the task's gradient) at the "
             "tap keeps "
             "this value; not beside weight"},
    {"weight", TAP(weight), FLOAT_FROM_0,
     .help = "a fixed weight instead of ratio: weight * mean over locations and teacher channels, summed "
             "over images; "
             "0 trains bit for bit like the plain cfg"},
    {"foreground", TAP(foreground), .type = VKD_ROW_FLOAT, .min = 0, .max = 1, .initial = "1",
     .needs_key = "pool", .needs = BIT(VKD_OPTION_POOL_DENSE),
     .help = "share of the loss that falls on locations in a truth box ([yolo], [region]; the default where "
             "there are none, and with pool=global, is 0); 1: others count neither in the loss nor in the "
             "statistics; 0: every location counts the same"},
    {"mask_padding", TAP(mask_padding), .type = VKD_ROW_INT, .min = 0, .max = 1, .initial = "0",
     .needs_key = "pool", .needs = BIT(VKD_OPTION_POOL_DENSE),
     .help = "1: locations in the padding around a picture count neither in the loss nor in the statistics "
             "([yolo], [region])"},
    {"student_norm", TAP(student_norm), WORD(student_norm_words), .initial = "standardize",
     .help = "how the student's features are normalised before P: not at all; by one learned scalar; each "
             "channel over the "
             "samples; each sample over the channels"},
    {"pool", TAP(pool), WORD(pool_words), .initial = "dense",
     .help = "dense: each location is a sample; global: one sample per image (classification)"},
    {"warmup", TAP(warmup), INT_FROM(0), .initial = "0",
     .help = "batches over which the weight rises from 0"},
    {"until", TAP(until), INT_FROM(0), .initial = "0",
     .help = "batch at which this tap stops; 0 is the end of training"},
    {"ramp", TAP(ramp), WORD(ramp_words), .initial = "linear",
     .help = "the weight's course from warmup to until: constant, or down to 0"},
    {"learning_rate", TAP(learning_rate), FLOAT_FROM_0, .initial = "1", .help = "scales the step of P"},
};

static const vkd_option_row whiten_rows[] = {
    {"mode", WHITEN(mode), WORD(mode_words), .initial = "standardize",
     .help = "none; layernorm: each sample over its channels; standardize: each channel over the samples; "
             "whiten: zero "
             "mean and identity covariance over the channels"},
    {"statistics", WHITEN(statistics), WORD(statistics_words), .initial = "running", .needs_key = "mode",
     .needs = BIT(VKD_OPTION_MODE_STANDARDIZE) | BIT(VKD_OPTION_MODE_WHITEN),
     .help = "from this sub-batch, a running average, or once before training and then frozen"},
    {"images", WHITEN(images), INT_FROM(1), .initial = "2000", .needs_key = "statistics",
     .needs = BIT(VKD_OPTION_STATISTICS_CALIBRATED), .help = "images that are looked at before training"},
    {"momentum", WHITEN(momentum), .type = VKD_ROW_FLOAT, .min = 0, .max = 1, .open_max = true,
     .initial = "0.99", .needs_key = "statistics", .needs = BIT(VKD_OPTION_STATISTICS_RUNNING),
     .help = "of the running average: what each sub-batch keeps of it"},
    {"whitening", WHITEN(whitening), WORD(whitening_words), .initial = "zca", ONLY_WHITEN,
     .help = "the square root that is taken of the covariance; cholesky only with rank=0"},
    {"shrinkage", WHITEN(shrinkage), .type = VKD_ROW_FLOAT, .min = 0, .max = 1, .initial = "0.05",
     ONLY_WHITEN, .help = "pulls the covariance towards a multiple of the identity"},
    {"rank", WHITEN(rank), INT_FROM(0), .initial = "0", ONLY_WHITEN,
     .help = "keep this many leading directions; 0 keeps all"},
    {"eps", WHITEN(eps), .type = VKD_ROW_FLOAT, .min = 0, .open_min = true, .max = FLT_MAX, .initial = "1e-5",
     .needs_key = "mode", .needs = ~BIT(VKD_OPTION_MODE_NONE),
     .help = "floor under a variance or an eigenvalue"},
};

static const vkd_option_row net_rows[] = {
    {"teacher_cfg", CFG(teacher_cfg), .type = VKD_ROW_PATH,
     .help = "the teacher's cfg, from the current folder; `-teacher_cfg` on the command line wins"},
    {"teacher_weights", CFG(teacher_weights), .type = VKD_ROW_PATH,
     .help = "its weights; `-teacher_weights` on the command line wins"},
    {"teacher_resize", CFG(teacher_resize), .type = VKD_ROW_INT, .min = 0, .max = 1, .initial = "0",
     .help =
         "1: the batch is resized to the width and height of the teacher's cfg; 0: the teacher runs at the "
         "student's size"},
    {"teacher_half", CFG(teacher_half), .type = VKD_ROW_INT, .min = 0, .max = 1, .initial = "0",
     .help = "1: the teacher's convolutions in half precision, on a GPU with a build of CUDNN=1; on the CPU "
             "the same values are rounded, which saves no time"},
};

#define SECTION(name, rows)                                                                                  \
    { name, rows, (int)(sizeof(rows) / sizeof((rows)[0])) }
const vkd_option_section vkd_net_section = SECTION("net", net_rows);
const vkd_option_section vkd_projection_section = SECTION("vkd_projection", projection_rows);
const vkd_option_section vkd_whiten_section = SECTION("vkd_whiten", whiten_rows);

_Static_assert(sizeof(projection_rows) / sizeof(projection_rows[0]) <= VKD_OPTION_KEYS,
               "key_line is too short");
_Static_assert(sizeof(whiten_rows) / sizeof(whiten_rows[0]) <= VKD_OPTION_KEYS, "key_line is too short");

int vkd_option_find(const vkd_option_section *section, const char *key) {
    for (int i = 0; i < section->count; ++i)
        if (strcmp(section->rows[i].key, key) == 0) return i;
    return -1;
}

const char *vkd_option_word(const char *key, int value) {
    const vkd_option_section *sections[] = {&vkd_projection_section, &vkd_whiten_section};
    for (int s = 0; s < 2; ++s) {
        int i = vkd_option_find(sections[s], key);
        if (i < 0) continue;
        const char *const *choice = sections[s]->rows[i].choices;
        for (int v = 0; choice && choice[v]; ++v)
            if (v == value) return choice[v];
    }
    return "?";
}

static void add(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(char *out, size_t size, const char *format, ...) {
    size_t length = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + length, size - length, format, args);
    va_end(args);
}

// What stands before the i-th of n things in a sentence.
static const char *comma(int i, int n) {
    return i == 0 ? "" : i == n - 1 ? " or " : ", ";
}

static void expected_number(const vkd_option_row *row, char *out, size_t size) {
    bool is_int = row->type == VKD_ROW_INT;
    bool low = row->min > (is_int ? (double)INT_MIN : (double)-FLT_MAX);
    bool high = row->max < (is_int ? (double)INT_MAX : (double)FLT_MAX);
    add(out, size, "%s", is_int ? "an integer" : "a number");
    if (low && high && !row->open_min && !row->open_max) {
        add(out, size, " from %g to %g", row->min, row->max);
        return;
    }
    if (low) add(out, size, " %s %g", row->open_min ? ">" : ">=", row->min);
    if (low && high) add(out, size, " and");
    if (high) add(out, size, " %s %g", row->open_max ? "<" : "<=", row->max);
}

// The words of a list by the bits of `set`.
static void join_words(const char *const *choices, unsigned set, char *out, size_t size) {
    int n = 0, i = 0;
    for (int v = 0; choices[v]; ++v)
        n += (int)((set >> v) & 1);
    for (int v = 0; choices[v]; ++v)
        if ((set >> v) & 1) add(out, size, "%s%s", comma(i++, n), choices[v]);
}

void vkd_option_expected(const vkd_option_row *row, char *out, size_t size) {
    out[0] = '\0';
    switch (row->type) {
    case VKD_ROW_INT:
    case VKD_ROW_FLOAT:
        expected_number(row, out, size);
        break;
    case VKD_ROW_WORD:
        join_words(row->choices, ~0u, out, size);
        break;
    case VKD_ROW_PATH:
        add(out, size, "a file");
        break;
    }
}

void vkd_option_keys(const vkd_option_section *section, char *out, size_t size) {
    out[0] = '\0';
    for (int i = 0; i < section->count; ++i)
        add(out, size, "%s%s", comma(i, section->count), section->rows[i].key);
}

static int smallest(int a, int b) {
    return a < b ? a : b;
}

// Optimal string alignment: insertions, deletions, changes and swaps of neighbours that lead from a to b;
// INT_MAX where they are more than NEAR.
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 32, NEAR = 2 };
    if (strlen(a) > LONGEST || strlen(b) > LONGEST) return INT_MAX;
    int m = (int)strlen(a), n = (int)strlen(b);
    if (m - n > NEAR || n - m > NEAR) return INT_MAX;
    int d[LONGEST + 1][LONGEST + 1];
    for (int i = 0; i <= m; ++i)
        d[i][0] = i;
    for (int j = 0; j <= n; ++j)
        d[0][j] = j;
    for (int i = 1; i <= m; ++i) {
        int least = i;
        for (int j = 1; j <= n; ++j) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            int best = smallest(d[i - 1][j], d[i][j - 1]) + 1;
            best = smallest(best, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]))
                best = smallest(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
            least = smallest(least, best);
        }
        if (least > NEAR) return INT_MAX; // and no later row has less, a swap's neither
    }
    return d[m][n];
}

bool vkd_name_is_near(const char *known, const char *written) {
    return edit_distance(known, written) <= (strlen(known) >= 6 ? 2 : 1);
}

const char *vkd_option_nearest(const vkd_option_section *section, const char *key) {
    const char *nearest = NULL;
    int least = INT_MAX;
    for (int i = 0; i < section->count; ++i) {
        const char *known = section->rows[i].key;
        int distance = edit_distance(known, key);
        if (distance >= least || !vkd_name_is_near(known, key)) continue;
        least = distance;
        nearest = known;
    }
    return nearest;
}

// ------------------------------------------------------------------------------------------------ values

typedef enum verdict { FITS, WRONG_TYPE, OUT_OF_RANGE } verdict;

static bool in_range(const vkd_option_row *row, double x) {
    if (row->open_min ? !(x > row->min) : !(x >= row->min)) return false;
    return row->open_max ? x < row->max : x <= row->max;
}

static verdict read_int(const vkd_option_row *row, const char *value, int *out) {
    if (strspn(value, "+-0123456789") != strlen(value)) return WRONG_TYPE;
    char *end;
    errno = 0;
    long x = strtol(value, &end, 10);
    if (end == value || *end) return WRONG_TYPE;
    if (errno == ERANGE || x < INT_MIN || x > INT_MAX || !in_range(row, (double)x)) return OUT_OF_RANGE;
    *out = (int)x;
    return FITS;
}

// Decimal numbers only: strtod alone would take "nan", "inf" and "0x1p3" too.
static verdict read_float(const vkd_option_row *row, const char *value, float *out) {
    if (strspn(value, "+-.eE0123456789") != strlen(value)) return WRONG_TYPE;
    char *end;
    double x = strtod(value, &end);
    if (end == value || *end) return WRONG_TYPE;
    if (x > FLT_MAX || x < -FLT_MAX || !in_range(row, x)) return OUT_OF_RANGE;
    float rounded = (float)x;
    if (!in_range(row, rounded)) return OUT_OF_RANGE; // 1e-60 is > 0 and becomes 0; 0.99999999999 becomes 1
    *out = rounded;
    return FITS;
}

static char *copy_of(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

// A value as it is shown in a message: printable, and not longer than a line of text.
static const char *shown(const char *value, char out[72]) {
    size_t n = 0;
    for (; n < 64 && value[n]; ++n)
        out[n] = isprint((unsigned char)value[n]) ? value[n] : '?';
    strcpy(out + n, value[n] ? "..." : "");
    return out;
}

static vkd_status set_word(vkd_place place, const vkd_option_row *row, int *field, const char *value,
                           vkd_error *err) {
    char expected[256], found[72];
    vkd_option_expected(row, expected, sizeof(expected));
    int v = 0;
    while (row->choices[v] && strcmp(row->choices[v], value) != 0)
        ++v;
    if (row->choices[v]) {
        *field = v;
        return VKD_OK;
    }
    return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, place.line, place.section->name, row->key,
                        "unknown value \"%s\"; expected %s", shown(value, found), expected);
}

static vkd_status set_number(vkd_place place, const vkd_option_row *row, void *field, const char *value,
                             vkd_error *err) {
    char expected[256], found[72];
    verdict v = row->type == VKD_ROW_INT ? read_int(row, value, field) : read_float(row, value, field);
    vkd_option_expected(row, expected, sizeof(expected));
    if (v == WRONG_TYPE)
        return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, place.line, place.section->name, row->key,
                            "\"%s\" is not %s; expected %s", shown(value, found),
                            row->type == VKD_ROW_INT ? "an integer" : "a number", expected);
    if (v == OUT_OF_RANGE)
        return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, place.line, place.section->name, row->key,
                            "%s is out of range; expected %s", shown(value, found), expected);
    return VKD_OK;
}

vkd_status vkd_option_set(vkd_place place, const vkd_option_row *row, void *record, const char *value,
                          vkd_error *err) {
    void *field = (char *)record + row->offset;
    if (*value == '\0') {
        char expected[256];
        vkd_option_expected(row, expected, sizeof(expected));
        return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, place.line, place.section->name, row->key,
                            "no value; expected %s", expected);
    }
    if (row->type == VKD_ROW_WORD) return set_word(place, row, field, value, err);
    if (row->type != VKD_ROW_PATH) return set_number(place, row, field, value, err);
    char *copy = copy_of(value);
    if (!copy) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%.512s: out of memory", place.path);
    free(*(char **)field);
    *(char **)field = copy;
    return VKD_OK;
}

void vkd_option_defaults(const vkd_option_section *section, void *record) {
    vkd_place nowhere = {"", 0, section};
    for (int i = 0; i < section->count; ++i) {
        const vkd_option_row *row = &section->rows[i];
        if (row->type == VKD_ROW_PATH)
            *(char **)((char *)record + row->offset) = NULL;
        else
            vkd_option_set(nowhere, row, record, row->initial ? row->initial : "0", NULL);
    }
}

vkd_status vkd_option_finish(vkd_place place, const void *record, const int *key_line, vkd_error *err) {
    const vkd_option_section *section = place.section;
    for (int i = 0; i < section->count; ++i) {
        const vkd_option_row *row = &section->rows[i];
        if (row->required && !key_line[i])
            return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, place.line, section->name, row->key,
                                "missing; expected %s", row->help);
        if (!key_line[i]) continue;
        // A key may need another that is itself without effect: walk up to the end.
        for (const vkd_option_row *r = row; r->needs_key;) {
            const vkd_option_row *other = &section->rows[vkd_option_find(section, r->needs_key)];
            int value = *(const int *)((const char *)record + other->offset);
            if (!((r->needs >> value) & 1)) {
                char words[128] = "";
                join_words(other->choices, r->needs, words, sizeof(words));
                return vkd_error_at(err, VKD_INVALID_ARGUMENT, place.path, key_line[i], section->name,
                                    row->key, "set with %s=%s; only used with %s=%s", other->key,
                                    other->choices[value], other->key, words);
            }
            r = other;
        }
    }
    return VKD_OK;
}
