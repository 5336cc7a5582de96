#ifndef VKD_HOST_MACHINE_MEMORY_H
#define VKD_HOST_MACHINE_MEMORY_H

#include "darknet.h"

#include <stddef.h>

// Bytes of memory this machine has.
double vkd_machine_memory(void);

// Asks for large pages where the system has them: a pass walks through several of the small ones' worth at
// once. Before the memory is used for the first time.
void vkd_use_large_pages(void *memory, size_t bytes);
// For a network's maps.
void vkd_use_large_pages_for_maps(const network *net);

#endif
