#include "host/command_line.h"

#include "host/run.h"

#include "darknet.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
    const char *name;
    const char *seconds; // words one of which follows, each between blanks; NULL: files follow at once
    int least;           // files that it opens without asking whether they were given
    const char *files;
} command;

static const command commands[] = {
    {"detector", " test valid valid2 demo ", 2, "DATA CFG [WEIGHTS] [FILE]"},
    {"detector", " recall ", 3, "DATA CFG WEIGHTS"},
    {"classifier",
     " train test predict demo gun threat csv label valid validmulti valid10 validcrop validfull ", 2,
     "DATA CFG [WEIGHTS] [FILE]"},
    {"classifier", " fout ", 4, "DATA CFG WEIGHTS LIST"},
    {"classifier", " try ", 5, "DATA CFG WEIGHTS PICTURE LAYER"},
    {"regressor", " train test demo ", 2, "DATA CFG [WEIGHTS] [FILE]"},
    {"segmenter", " train test demo ", 2, "DATA CFG [WEIGHTS] [PICTURE]"},
    {"isegmenter", " train test demo ", 2, "DATA CFG [WEIGHTS] [PICTURE]"},
    {"yolo", " train test valid recall demo ", 1, "CFG [WEIGHTS] [FILE]"},
    {"coco", " train test valid recall demo ", 1, "CFG [WEIGHTS] [FILE]"},
    {"rnn", " train valid validtactic vec generate generatetactic ", 1, "CFG [WEIGHTS]"},
    {"go", " train valid self test engine ", 1, "CFG [WEIGHTS] [CFG] [WEIGHTS]"},
    {"cifar", " train test distill multi csv csvtrain extract eval ", 1, "CFG [WEIGHTS]"},
    {"tag", " train test ", 1, "CFG [WEIGHTS] [PICTURE]"},
    {"super", " train test valid ", 1, "CFG [WEIGHTS] [PICTURE]"},
    {"lsd", " gan inter test color ", 1, "CFG [WEIGHTS] [PICTURE]"},
    {"lsd", " traingan trainprog traincolor ", 3, "CFG WEIGHTS CFG [WEIGHTS]"},
    {"detect", NULL, 2, "CFG WEIGHTS [PICTURE]"},
    {"classify", NULL, 2, "CFG WEIGHTS [PICTURE]"},
    {"nightmare", NULL, 4, "CFG WEIGHTS PICTURE LAYER"},
    {"art", NULL, 2, "CFG WEIGHTS"},
    {"average", NULL, 3, "CFG OUT WEIGHTS..."},
    {"partial", NULL, 4, "CFG WEIGHTS OUT LAYERS"},
    {"oneoff", NULL, 3, "CFG WEIGHTS OUT"},
    {"oneoff2", NULL, 4, "CFG WEIGHTS OUT LAYERS"},
    {"print", NULL, 3, "CFG WEIGHTS LAYER"},
    {"rescale", NULL, 3, "CFG WEIGHTS OUT"},
    {"normalize", NULL, 3, "CFG WEIGHTS OUT"},
    {"denormalize", NULL, 3, "CFG WEIGHTS OUT"},
    {"reset", NULL, 3, "CFG WEIGHTS OUT"},
    {"rgbgr", NULL, 3, "CFG WEIGHTS OUT"},
    {"statistics", NULL, 2, "CFG WEIGHTS"},
    {"visualize", NULL, 1, "CFG [WEIGHTS]"},
    {"ops", NULL, 1, "CFG"},
    {"speed", NULL, 1, "CFG [TIMES]"},
    {"mkimg", NULL, 6, "CFG WEIGHTS HEIGHT WIDTH NUMBER PREFIX"},
    {"3d", NULL, 3, "PICTURE PICTURE OUT"},
    {"test", NULL, 1, "PICTURE"},
    {"imtest", NULL, 1, "PICTURE"},
};
enum { command_count = sizeof commands / sizeof *commands };

// Darknet's flags with a value; the others are switches. -gpus takes a list.
static const char numbers[] =
    " -i -thresh -hier -c -s -avg -w -h -fps -t -iters -resign -cpuct -temp -time -b -len "
    "-srand -norm -rounds -rate -momentum -lambda -smooth -range -octaves -zoom -rotate ";
static const char texts[] =
    " -prefix -gpus -out -file -tokens -teacher_cfg -teacher_weights -calibration -seed ";

// Whether `words`, each between blanks, has `word`.
static bool has(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; length && (at = strstr(at, word)); ++at)
        if (at > words && at[-1] == ' ' && at[length] == ' ') return true;
    return false;
}

bool vkd_flag_lacks_value(int argc, char *const *argv, int i) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (!value) return true;
    return value[0] == '-' && !isdigit((unsigned char)value[1]) && value[1] != '.' && value[1] != '\0';
}

// The row of argv[1], and of argv[2] where there must be one.
static const command *find_command(int argc, char *const *argv) {
    const char *first = argv[1], *second = argc > 2 ? argv[2] : NULL;
    char known[400] = "";
    for (int i = 0; i < command_count; ++i) {
        const command *c = &commands[i];
        if (strcmp(c->name, first)) continue;
        if (!c->seconds || (second && has(c->seconds, second))) return c;
        strncat(known, c->seconds + 1, sizeof known - 1 - strlen(known));
    }
    if (!*known)
        vkd_fail(
            "darknet: found \"%s\"; expected a command: vkd, detector, classifier, partial, ...; flags stand "
            "behind it",
            first);
    known[strlen(known) - 1] = '\0';
    const char *own = strcmp(first, "detector") ? "" : "train map ";
    if (!second) vkd_fail("usage: darknet %s COMMAND FILE...; COMMAND is one of %s%s", first, own, known);
    vkd_fail("darknet %s: found \"%s\"; expected one of %s%s", first, second, own, known);
}

static void check_flag(int argc, char *const *argv, int i, const char *name) {
    if (vkd_flag_lacks_value(argc, argv, i)) vkd_fail("darknet %s: %s needs a value", name, argv[i]);
    // On the CPU their networks would be averaged with what no GPU has brought.
    if (!strcmp(argv[i], "-gpus") && strchr(argv[i + 1], ',') && gpu_index < 0)
        vkd_fail("darknet %s: -gpus: found \"%s\" in a run on the CPU; expected one number, or a run on GPUs",
                 name, argv[i + 1]);
    if (!has(numbers, argv[i])) return;
    char *end;
    (void)strtod(argv[i + 1], &end);
    if (end == argv[i + 1] || *end)
        vkd_fail("darknet %s: %s: found \"%s\"; expected a number", name, argv[i], argv[i + 1]);
}

void vkd_check_command_line(int argc, char *const *argv) {
    if (argc < 2 || !argv[1])
        vkd_fail("usage: darknet COMMAND ..., as detector, classifier or vkd; flags stand behind it");
    if (!strcmp(argv[1], "vkd")) return;
    if (!strcmp(argv[1], "detector") && argc > 2 && argv[2] && has(" train map ", argv[2])) return;
    const command *c = find_command(argc, argv);
    int files = 0;
    for (int i = c->seconds ? 3 : 2; i < argc && argv[i]; ++i) {
        // `rnn generate -seed TEXT` begins a text, with whatever it may be.
        if (has(numbers, argv[i]) || has(texts, argv[i])) {
            if (strcmp(c->name, "rnn") || strcmp(argv[i], "-seed") || i + 1 == argc)
                check_flag(argc, argv, i, c->name);
            ++i;
        } else if (argv[i][0] != '-') {
            ++files;
        }
    }
    if (files >= c->least) return;
    const char *second = c->seconds ? argv[2] : "";
    vkd_fail("usage: darknet %s%s%s %s", c->name, *second ? " " : "", second, c->files);
}
