// Half precision, IEEE 754-2019's binary16, by bits: 1 of sign, 5 of exponent, 10 of fraction. Integer
// arithmetic, where a GPU has instructions with the same result.
#ifndef VKD_NUMERICS_HALF_H
#define VKD_NUMERICS_HALF_H

#include "numerics/everywhere.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t vkd_half;

#define VKD_HALF_LARGEST 65504.0f

// bits / 2^shift, to the nearest integer, a tie to the even one (4.3.1).
VKD_EVERYWHERE static inline uint32_t vkd_shift_to_even(uint32_t bits, int shift) {
    const uint32_t kept = bits >> shift, rest = bits & ((UINT32_C(1) << shift) - 1),
                   half = UINT32_C(1) << (shift - 1);
    return kept + (rest > half || (rest == half && (kept & 1)));
}

// The nearest half, a tie to the even one. Infinity from 65520 on, the middle between the largest half and
// 2^16.
VKD_EVERYWHERE static inline vkd_half vkd_half_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t to;
    if (magnitude > 0x7f800000)
        to = 0x7e00; // NaN
    else if (magnitude >= 0x477ff000)
        to = 0x7c00;
    else if (magnitude >= 0x38800000) // 2^-14: a carry out of the fraction goes to the exponent, as it must
        to = vkd_shift_to_even(magnitude - 0x38000000, 13);
    else if (magnitude >= 0x33000000) // 2^-25: units of 2^-24
        to = vkd_shift_to_even((magnitude & 0x7fffff) | 0x800000, 126 - (int)(magnitude >> 23));
    else
        to = 0;
    return (vkd_half)(sign | to);
}

// Exact.
VKD_EVERYWHERE static inline float vkd_float_of(vkd_half h) {
    const uint32_t exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
    if (!exponent) return (h & 0x8000 ? -0x1p-24f : 0x1p-24f) * (float)fraction;
    const uint32_t bits =
        (uint32_t)(h & 0x8000) << 16 | (exponent == 0x1f ? 0xff : exponent + 112) << 23 | fraction << 13;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// vkd_float_of(vkd_half_of(x)), without a branch.
static inline float vkd_nearest_half(float x) {
    uint32_t bits, near, tiny;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t magnitude = bits & 0x7fffffff;
    near = (magnitude + 0xfff + (magnitude >> 13 & 1)) & ~UINT32_C(0x1fff);
    if (near >= 0x47800000) near = 0x7f800000;
    if (magnitude > 0x7f800000) near = 0x7fc00000;
    // Next to 0.5 float32 has the unit of the subnormal halves, 2^-24.
    const float shifted = (magnitude < 0x38800000 ? fabsf(x) : 0) + 0.5f, back = shifted - 0.5f;
    memcpy(&tiny, &back, sizeof tiny);
    bits = (bits & 0x80000000) | (magnitude < 0x38800000 ? tiny : near);
    memcpy(&x, &bits, sizeof x);
    return x;
}

VKD_EVERYWHERE static inline bool vkd_half_is_finite(vkd_half h) {
    return (h & 0x7c00) != 0x7c00;
}

#endif
