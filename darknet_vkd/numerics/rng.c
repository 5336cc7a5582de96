#include "numerics/rng.h"

#include <math.h>

// SplitMix64 (Steele, Lea, Flood 2014), the seeder that the authors of xoshiro recommend.
static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// Each word of the triple is mixed through SplitMix64 before the next one is added, so that
// neighbours (seed, seed + 1) and swaps (1, 2) / (2, 1) land far apart.
void vkd_rng_seed(vkd_rng *r, uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t state = seed;
    state = splitmix64(&state) + stream;
    state = splitmix64(&state) + index;
    for (int i = 0; i < 4; ++i)
        r->s[i] = splitmix64(&state);
}

static uint64_t rotate_left(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

// xoshiro256** 1.0 (Blackman, Vigna, "Scrambled linear pseudorandom number generators", 2021).
uint64_t vkd_rng_next(vkd_rng *r) {
    uint64_t *s = r->s;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double vkd_rng_uniform(vkd_rng *r) {
    return (double)(vkd_rng_next(r) >> 11) * 0x1.0p-53;
}

// Box, Muller 1958. 1 - u lies in (0, 1], so the logarithm is finite.
double vkd_rng_normal(vkd_rng *r) {
    const double two_pi = 6.283185307179586477;
    const double radius = sqrt(-2 * log(1 - vkd_rng_uniform(r)));
    return radius * cos(two_pi * vkd_rng_uniform(r));
}
