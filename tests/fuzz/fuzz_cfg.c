// Whole cfgs, for libFuzzer: `darknet vkd check` where there are taps; a plain network that Darknet parses
// and frees, and that is then the teacher of a student, where there are none. In one process: exit() comes
// back here, and what the program then had not freed is freed, as the system would. What a success leaves is
// a leak.
#define _GNU_SOURCE
#include "fuzz/trap.h"

#include "fuzz/mutate_cfg.h"
#include "fuzz/oracle.h"
#include "host/darknet_keys.h"

// Its static state outlives an exit() that comes back.
#include "../../darknet_vkd/host/teacher.c"

// Small networks only: a machine of a megabyte.
double vkd_machine_memory(void) {
    return 1 << 20;
}

static const char student[] =
    "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation="
    "leaky\n"
    "[convolutional]\nfilters=2\nactivation=linear\n[vkd_projection]\nfrom=0\nteacher_from=-1\n";
static const char teacher[] =
    "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nfilters=6\nsize=3\nstride=2\n"
    "pad=1\nactivation=leaky\n[maxpool]\nsize=2\nstride=2\n";

// ---- mutations
// --------------------------------------------------------------------------------------------

static const char *words[2][512]; // names of sections, keys
static size_t word_count[2];

static void add_table(const vkd_option_section *table) {
    for (int i = 0; i < table->count && word_count[1] < 512; ++i)
        words[1][word_count[1]++] = table->rows[i].key;
}

static void collect_words(void) {
    for (int type = 0; type < BLANK; ++type) {
        const vkd_darknet_section *s = vkd_darknet_section_of((LAYER_TYPE)type);
        if (!s->values.name) continue;
        words[0][word_count[0]++] = s->values.name;
        add_table(&s->values);
        add_table(&s->lists);
    }
    words[0][word_count[0]++] = vkd_projection_section.name;
    words[0][word_count[0]++] = vkd_whiten_section.name;
    add_table(&vkd_projection_section);
    add_table(&vkd_whiten_section);
    add_table(&vkd_darknet_common);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    if (!word_count[0]) collect_words();
    return fuzz_mutate_cfg(data, size, most, seed, words[0], word_count[0], words[1], word_count[1]);
}

// ---- runs
// -------------------------------------------------------------------------------------------------

static void parse(char *path, char *unused) {
    (void)unused;
    free_network(parse_network_cfg(path));
}

static void check(char *cfg, char *teacher_cfg) {
    char *argv[] = {"darknet", "vkd", "check", cfg, "-teacher_cfg", teacher_cfg, NULL};
    vkd_command(6, argv);
}

// True: it ended well. Otherwise the last line must speak of a or b.
static bool run_trapped(void (*body)(char *, char *), const char *a, const char *b) {
    char first[64], second[64];
    snprintf(first, sizeof first, "%s", a);
    snprintf(second, sizeof second, "%s", b);
    bool good = trap_run(body, first, second);
    loading = (request){0};
    if (good && trap_left()) fuzz_fault("memory or a file is left");
    if (!good && trap_status() != EXIT_FAILURE) fuzz_fault("the exit status is not 1");
    if (!good) fuzz_refused(trap_last_line(), *b && !strncmp(trap_last_line(), b, strlen(b)) ? b : a);
    trap_clear();
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *student_path, *teacher_path;
    if (!student_path) {
        fuzz_report = stderr;
        student_path = fuzz_file(2, student, sizeof student - 1);
        teacher_path = fuzz_file(3, teacher, sizeof teacher - 1);
        vkd_run_set_quiet(true);
        gpu_index = -1;
    }
    const char *path = fuzz_file(0, data, size);
    bool good;
    if (memmem(data, size, "vkd_projection", 14)) {
        good = run_trapped(check, path, teacher_path);
    } else {
        good = run_trapped(parse, path, "");
        if (good) run_trapped(check, student_path, path);
    }
    fuzz_count(good);
    return 0;
}
