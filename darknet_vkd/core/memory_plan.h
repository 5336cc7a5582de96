// One block of memory for values that follow each other, where those that are never needed at once share it.
#ifndef VKD_CORE_MEMORY_PLAN_H
#define VKD_CORE_MEMORY_PLAN_H

#include <stddef.h>

// Value i is written at time i, and read for the last time at time `last` >= i: at both, its memory is its
// own.
typedef struct vkd_lifetime {
    size_t size; // in any unit; 0: takes no place
    int last;
    size_t scratch; // needed at the block's start while value i is written
} vkd_lifetime;

// The most that is alive at any time, below which no plan can go.
size_t vkd_memory_least(const vkd_lifetime *values, int count);

// offset (count): where each value lies. Returns the block's size, which is the least possible for a chain
// (each value read by the next alone, no scratch), and in general little more than vkd_memory_least().
size_t vkd_memory_plan(const vkd_lifetime *values, int count, size_t *offset);

#endif
