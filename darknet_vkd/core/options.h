// The vkd part of a student's cfg: [vkd_projection], [vkd_whiten] and the teacher_* keys of [net].
// Read from the file itself, so that every error names file, line, section and key.
#ifndef VKD_CORE_OPTIONS_H
#define VKD_CORE_OPTIONS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum vkd_option_map {
    VKD_OPTION_MAP_MATRIX_EXP,
    VKD_OPTION_MAP_CAYLEY,
    VKD_OPTION_MAP_HOUSEHOLDER,
    VKD_OPTION_MAP_PROCRUSTES,
    VKD_OPTION_MAP_LINEAR,
    VKD_OPTION_MAP_FROZEN,
    VKD_OPTION_MAP_IDENTITY
} vkd_option_map;

typedef enum vkd_option_loss { VKD_OPTION_LOSS_L2, VKD_OPTION_LOSS_SMOOTH_L1 } vkd_option_loss;

typedef enum vkd_option_student_norm {
    VKD_OPTION_STUDENT_NONE,
    VKD_OPTION_STUDENT_GAIN,
    VKD_OPTION_STUDENT_STANDARDIZE,
    VKD_OPTION_STUDENT_LAYERNORM
} vkd_option_student_norm;

typedef enum vkd_option_pool { VKD_OPTION_POOL_DENSE, VKD_OPTION_POOL_GLOBAL } vkd_option_pool;

typedef enum vkd_option_ramp {
    VKD_OPTION_RAMP_CONSTANT,
    VKD_OPTION_RAMP_COSINE,
    VKD_OPTION_RAMP_LINEAR
} vkd_option_ramp;

typedef enum vkd_option_mode {
    VKD_OPTION_MODE_NONE,
    VKD_OPTION_MODE_LAYERNORM,
    VKD_OPTION_MODE_STANDARDIZE,
    VKD_OPTION_MODE_WHITEN
} vkd_option_mode;

typedef enum vkd_option_statistics {
    VKD_OPTION_STATISTICS_BATCH,
    VKD_OPTION_STATISTICS_RUNNING,
    VKD_OPTION_STATISTICS_CALIBRATED
} vkd_option_statistics;

typedef enum vkd_option_whitening {
    VKD_OPTION_WHITENING_ZCA,
    VKD_OPTION_WHITENING_CHOLESKY
} vkd_option_whitening;

enum { VKD_OPTION_KEYS = 16 }; // room for the keys of one section

// Enumerated keys are int fields that hold the enum named beside them: one table writes them all.
typedef struct vkd_whiten_options {
    int mode;       // vkd_option_mode
    int statistics; // vkd_option_statistics
    int images;
    float momentum;
    int whitening; // vkd_option_whitening
    float shrinkage;
    int rank; // 0: all directions
    float eps;
    int line;                      // of the section's header; 0: there is none, everything is at its default
    int key_line[VKD_OPTION_KEYS]; // by row of the section's table; 0: not set
} vkd_whiten_options;

typedef struct vkd_tap_options {
    int from;         // the student's layer, absolute, >= 0 and < vkd_cfg.layers
    int teacher_from; // as written: absolute, or negative from the teacher's end (-1 is its last layer)
    int map;          // vkd_option_map
    int rebase;
    float momentum; // of the updates of P
    int loss;       // vkd_option_loss
    float ratio;
    bool has_weight;  // a fixed weight stands instead of the ratio
    float weight;     // 0 unless has_weight
    float foreground; // 0..1; 0: every location counts the same
    int mask_padding; // 0 or 1
    int student_norm; // vkd_option_student_norm
    int pool;         // vkd_option_pool
    int warmup;       // batches
    int until;        // batch; 0: the end of training
    int ramp;         // vkd_option_ramp
    float learning_rate;
    vkd_whiten_options whiten;
    int line;                      // of [vkd_projection]
    int place;                     // layers of the student that stand above the section
    int key_line[VKD_OPTION_KEYS]; // by row of the section's table; 0: not set
} vkd_tap_options;

typedef struct vkd_cfg {
    char *path;            // as handed in
    char *teacher_cfg;     // as written (Darknet's habit: relative to the current folder); NULL: not named
    char *teacher_weights; // the same
    int teacher_resize;    // 0 or 1
    int teacher_half;      // 0 or 1
    int layers;            // of the plain student
    int tap_count;
    vkd_tap_options *taps;         // (tap_count), in the order of the file; NULL when there is none
    int key_line[VKD_OPTION_KEYS]; // of [net], by row of its table; 0: not set
} vkd_cfg;

// Reads and checks the whole file. Whatever the status, *out may be handed to vkd_cfg_free afterwards.
// VKD_IO: the file cannot be read. VKD_INVALID_ARGUMENT: the user's mistake. VKD_OUT_OF_MEMORY.
vkd_status vkd_cfg_read(const char *path, vkd_cfg *out, vkd_error *err);

// Frees what vkd_cfg_read made and zeroes the struct; harmless on a zeroed struct and on NULL.
void vkd_cfg_free(vkd_cfg *cfg);

/*
 * For what only the host can find out (a layer the teacher does not have, shapes that do not match):
 * fills "FILE:LINE: [section] key: message" and returns VKD_INVALID_ARGUMENT. key is a key of
 * [vkd_projection] or of [vkd_whiten]; `momentum`, which stands in both, is taken as the first's. LINE is the
 * key's own line, or its section's where the key stands at its default.
 */
vkd_status vkd_tap_error(vkd_error *err, const vkd_cfg *cfg, int tap, const char *key, const char *format,
                         ...) __attribute__((format(printf, 5, 6)));

// The same for a key of [net]: without a LINE where the key is not set.
vkd_status vkd_net_error(vkd_error *err, const vkd_cfg *cfg, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The word in the cfg for the value of an enumerated key, for tables and logs:
// vkd_option_word("map", VKD_OPTION_MAP_CAYLEY) is "cayley". "?" for what does not exist. Never NULL.
const char *vkd_option_word(const char *key, int value);

// Whether the cfg sets this key of [vkd_projection]; otherwise it stands at its default.
bool vkd_tap_sets(const vkd_tap_options *tap, const char *key);

// The plain student: the file's bytes without the vkd sections and without the teacher_* keys of [net], all
// else byte for byte. *text is malloc'ed, (*length) bytes and a NUL behind them; the caller frees it. length
// may be NULL. The vkd keys are not checked: this also mends a cfg that vkd_cfg_read refuses.
vkd_status vkd_cfg_strip(const char *path, char **text, size_t *length, vkd_error *err);

// The README's reference of the cfg, in Markdown, from the same table. *text is malloc'ed; the caller frees
// it.
vkd_status vkd_options_reference(char **text);

#endif
