// What Darknet's own commands need to be called with. Darknet takes its flags out of argv, leaves NULLs
// behind and goes on with them as file names.
#ifndef VKD_HOST_COMMAND_LINE_H
#define VKD_HOST_COMMAND_LINE_H

#include <stdbool.h>

// Whether argv[i], a flag, has no value behind it: there is nothing, or another flag. A negative number is a
// value.
bool vkd_flag_lacks_value(int argc, char *const *argv, int i);

// Fails with one line where a command is none of Darknet's, a flag lacks its value or has no number, or where
// fewer files follow than the command opens. Before anything but -i and -nogpu is taken out of argv; `vkd
// ...`, `detector train` and `detector map`, which read their arguments themselves, pass.
void vkd_check_command_line(int argc, char *const *argv);

#endif
