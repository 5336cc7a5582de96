#define _DEFAULT_SOURCE // madvise
#include "host/machine_memory.h"

#include <math.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

double vkd_machine_memory(void) {
#ifdef _SC_PHYS_PAGES
    double pages = (double)sysconf(_SC_PHYS_PAGES), bytes = (double)sysconf(_SC_PAGESIZE);
    if (pages > 0 && bytes > 0) return pages * bytes;
#endif
    return INFINITY;
}

void vkd_use_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)2 << 20, from = ((uintptr_t)memory + page - 1) / page * page,
                    end = ((uintptr_t)memory + bytes) / page * page;
    if (memory && from < end) madvise((char *)memory + (from - (uintptr_t)memory), end - from, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes; // it is advice
#endif
}

void vkd_use_large_pages_for_maps(const network *net) {
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        float *const maps[] = {l->output, l->delta, l->x};
        for (size_t m = 0; m < sizeof maps / sizeof *maps; ++m)
            vkd_use_large_pages(maps[m], (size_t)l->outputs * (size_t)l->batch * sizeof(float));
    }
}
