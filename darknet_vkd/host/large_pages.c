#define _DEFAULT_SOURCE // madvise
#include "host/large_pages.h"

#include <stdint.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

void vkd_use_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)2 << 20, begin = (uintptr_t)memory,
                    from = (begin + page - 1) / page * page, end = (begin + bytes) / page * page;
    if (memory && from < end)
        madvise((char *)memory + (from - begin), end - from, MADV_HUGEPAGE); // or not: it is advice
#else
    (void)memory, (void)bytes;
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
