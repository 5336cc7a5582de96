#include "core/memory_plan.h"

#include <stdbool.h>

size_t vkd_memory_least(const vkd_lifetime *values, int count) {
    size_t least = 0;
    for (int now = 0; now < count; ++now) {
        size_t alive = values[now].scratch;
        for (int i = 0; i <= now; ++i)
            if (values[i].last >= now) alive += values[i].size;
        if (alive > least) least = alive;
    }
    return least;
}

// One that still lives at time i where value i would come to lie on it; -1: none.
static int in_the_way(const vkd_lifetime *values, const size_t *offset, int i) {
    for (int j = 0; j < i; ++j)
        if (values[j].last >= i && values[j].size && offset[j] < offset[i] + values[i].size &&
            offset[i] < offset[j] + values[j].size)
            return j;
    return -1;
}

// Where the scratch of its whole life ends.
static size_t lowest(const vkd_lifetime *values, int count, int i) {
    size_t end = 0;
    for (int j = i; j < count && j <= values[i].last; ++j)
        if (values[j].scratch > end) end = values[j].scratch;
    return end;
}

// As near to the block's start as the living allow, or to its end. False: there is no room.
static bool place(const vkd_lifetime *values, int i, size_t low, size_t block, bool at_start,
                  size_t *offset) {
    size_t size = values[i].size;
    if (low + size > block) return false;
    offset[i] = at_start ? low : block - size;
    for (int j; (j = in_the_way(values, offset, i)) >= 0;) {
        if (!at_start && offset[j] < low + size) return false;
        offset[i] = at_start ? offset[j] + values[j].size : offset[j] - size;
        if (offset[i] + size > block) return false;
    }
    return true;
}

// In turns from both ends: of a chain only two neighbours live at once, and these do not meet.
static bool fits(const vkd_lifetime *values, int count, size_t block, size_t *offset) {
    bool at_start = true;
    for (int i = 0; i < count; ++i) {
        offset[i] = 0;
        if (!values[i].size) continue;
        if (!place(values, i, lowest(values, count, i), block, at_start, offset)) return false;
        at_start = !at_start;
    }
    return true;
}

// Above all scratch, 2 count times the largest value have a gap of its size between any others: this ends.
size_t vkd_memory_plan(const vkd_lifetime *values, int count, size_t *offset) {
    size_t block = vkd_memory_least(values, count);
    while (!fits(values, count, block, offset))
        block += block / 64 + 1;
    return block;
}
