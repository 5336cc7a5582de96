#include "host/arguments.h"

#include "core/options.h"
#include "host/command_line.h"
#include "host/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_count(const char *flag, const char *text) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < 1 || value > 1000000)
        vkd_fail("%s: found \"%s\"; expected an integer from 1 to 1000000", flag, text);
    return (int)value;
}

static const vkd_flag *find_flag(const vkd_arguments *expected, const char *name) {
    for (int i = 0; i < expected->flag_count; ++i)
        if (!strcmp(expected->flags[i].name, name)) return &expected->flags[i];
    vkd_fail("%s: unknown option %s; expected %s", expected->command, name, expected->known);
}

void vkd_read_arguments(const vkd_arguments *expected, int argc, char **argv, char **files) {
    int given = 0;
    for (int i = 0; i < expected->most; ++i)
        files[i] = NULL;
    for (int i = 3; i < argc && argv[i]; ++i) {
        if (argv[i][0] != '-') {
            if (given == expected->most)
                vkd_fail("%s: unexpected \"%s\"; usage: darknet %s %s", expected->command, argv[i],
                         expected->command, expected->usage);
            files[given++] = argv[i];
            continue;
        }
        const vkd_flag *flag = find_flag(expected, argv[i]);
        if (vkd_flag_lacks_value(argc, argv, i))
            vkd_fail("%s: %s needs a value", expected->command, flag->name);
        ++i;
        if (flag->text)
            *flag->text = argv[i];
        else
            *flag->count = read_count(flag->name, argv[i]);
    }
    if (given < expected->least) vkd_fail("usage: darknet %s %s", expected->command, expected->usage);
}

void vkd_need_taps(const char *path, const char *without_tap, bool weights_too) {
    const vkd_run *run = vkd_run_options();
    vkd_cfg cfg;
    vkd_error err;
    if (vkd_cfg_read(path, &cfg, &err)) vkd_fail("%s", err.text);
    if (!cfg.tap_count) vkd_fail("%s: no [vkd_projection]; %s", path, without_tap);
    bool named = run->teacher_cfg || cfg.teacher_cfg,
         weights_named = run->teacher_weights || cfg.teacher_weights;
    if (!named && !(weights_too && weights_named))
        vkd_fail("%s: no teacher is named; expected %s in [net], or as %s", path,
                 weights_too ? "teacher_cfg and teacher_weights" : "teacher_cfg",
                 weights_too ? "flags" : "-teacher_cfg");
    vkd_cfg_free(&cfg);
}
