// The arguments of the plugin's own commands: files in their order, and flags with a value.
#ifndef VKD_HOST_ARGUMENTS_H
#define VKD_HOST_ARGUMENTS_H

#include <stdbool.h>

typedef struct vkd_flag {
    const char *name;  // "-out"
    const char **text; // where its value goes; NULL: `count` is what it sets
    int *count;        // an integer from 1 to 1000000
} vkd_flag;

typedef struct vkd_arguments {
    const char *command; // "vkd maps"
    const char *usage;   // what follows it
    const char *known;   // the flags, for the message about an unknown one
    int least, most;     // files
    const vkd_flag *flags;
    int flag_count;
} vkd_arguments;

// Reads what follows argv[0..2] ("darknet vkd maps"); -seed and the teacher's flags are already taken.
// files (most): NULL where not given. A mistake is one line and exit status 1.
void vkd_read_arguments(const vkd_arguments *expected, int argc, char **argv, char **files);

// Fails unless the cfg has a tap, and a teacher is named in it or by a flag: what can be known before
// anything is loaded. without_tap: what then cannot be done ("there is nothing to show").
void vkd_need_taps(const char *cfg, const char *without_tap, bool weights_too);

#endif
