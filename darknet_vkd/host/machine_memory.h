#ifndef VKD_HOST_MACHINE_MEMORY_H
#define VKD_HOST_MACHINE_MEMORY_H

// Bytes of memory this machine has.
double vkd_machine_memory(void);

#endif
