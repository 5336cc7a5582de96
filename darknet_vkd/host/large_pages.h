// Large pages where the system has them: a pass walks through several of the small ones' worth at once.
#ifndef VKD_HOST_LARGE_PAGES_H
#define VKD_HOST_LARGE_PAGES_H

#include "darknet.h"

#include <stddef.h>

// Asks for them; before the memory is used for the first time.
void vkd_use_large_pages(void *memory, size_t bytes);
// For all maps of a network.
void vkd_use_large_pages_for_maps(const network *net);

#endif
