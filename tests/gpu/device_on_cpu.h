// What tests ask of the device that is a CPU.
#ifndef VKD_TESTS_GPU_DEVICE_ON_CPU_H
#define VKD_TESTS_GPU_DEVICE_ON_CPU_H

#include "gpu/device.h"

#ifdef __cplusplus
#include <atomic>
#define CPU_ATOMIC(type) std::atomic<type>
extern "C" {
#else
#define CPU_ATOMIC(type) _Atomic(type)
#endif

// What devices opened afterwards are like.
typedef struct cpu_device_options {
    bool lazy;     // nothing that is enqueued runs before somebody waits, as if the GPU were far behind
    bool backward; // a block's threads run from the last to the first
} cpu_device_options;
extern cpu_device_options cpu_device;

extern CPU_ATOMIC(long) cpu_alloc_countdown; // the allocation that fails, from 1; 0: none
extern CPU_ATOMIC(long) cpu_allocations;     // that have not been freed
extern CPU_ATOMIC(long) cpu_waits;           // for an event that was not reached
extern CPU_ATOMIC(size_t) cpu_bytes_fetched; // by copies to the host

// As if a call of CUDA had failed.
void cpu_break(vkd_device *device, const char *error);

#ifdef __cplusplus
}
#endif

#endif
