#define _POSIX_C_SOURCE 200809L
#include "host/machine_memory.h"

#include <math.h>
#include <unistd.h>

double vkd_machine_memory(void) {
#ifdef _SC_PHYS_PAGES
    double pages = (double)sysconf(_SC_PHYS_PAGES), bytes = (double)sysconf(_SC_PAGESIZE);
    if (pages > 0 && bytes > 0) return pages * bytes;
#endif
    return INFINITY;
}
