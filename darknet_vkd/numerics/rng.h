// Random numbers as a function of (seed, stream, index): no global state, no order dependence.
#ifndef VKD_NUMERICS_RNG_H
#define VKD_NUMERICS_RNG_H

#include <stdint.h>

typedef struct vkd_rng {
    uint64_t s[4];
} vkd_rng;

// Each (seed, stream, index) names its own sequence: for example (run's seed, what for, batch).
void vkd_rng_seed(vkd_rng *r, uint64_t seed, uint64_t stream, uint64_t index);

uint64_t vkd_rng_next(vkd_rng *r);  // 64 uniform bits
double vkd_rng_uniform(vkd_rng *r); // [0, 1), a multiple of 2^-53
double vkd_rng_normal(vkd_rng *r);  // N(0, 1); takes two draws, keeps no spare

#endif
