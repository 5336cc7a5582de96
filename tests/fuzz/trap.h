// Runs what may end in exit() and comes back, with all that it allocated known. Link with
// -Wl,--wrap=exit,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=strdup,--wrap=fopen,--wrap=fclose
#ifndef TESTS_FUZZ_TRAP_H
#define TESTS_FUZZ_TRAP_H

#include <stdbool.h>

// False: body called exit(). Its stderr and stdout go nowhere but to trap_last_line().
bool trap_run(void (*body)(char *, char *), char *a, char *b);
int trap_status(void);
const char *trap_last_line(void);
// Allocations and open files of the run that are still there; trap_clear() ends them.
int trap_left(void);
void trap_clear(void);

#endif
