// Finiteness by bits: the host may be built with -Ofast, where isfinite() folds to true.
#ifndef VKD_NUMERICS_FINITE_H
#define VKD_NUMERICS_FINITE_H

#include "numerics/everywhere.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The exponent of an infinity or a NaN is all ones (IEEE 754-2019, 3.4). Integer arithmetic only.
VKD_EVERYWHERE static inline bool vkd_is_finite(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & UINT64_C(0x7ff0000000000000)) != UINT64_C(0x7ff0000000000000);
}

// The same of a float, without a conversion, which a GPU would make at float64's pace.
VKD_EVERYWHERE static inline bool vkd_is_finite_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & UINT32_C(0x7f800000)) != UINT32_C(0x7f800000);
}

bool vkd_all_finite(const float *x, size_t n);         // true for n = 0
bool vkd_all_finite_double(const double *x, size_t n); // true for n = 0

#endif
