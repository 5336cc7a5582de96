#include "numerics/finite.h"

// Branch-free within a block so that it vectorises; out early between blocks.
enum { BLOCK = 1024 };

bool vkd_all_finite(const float *x, size_t n) {
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t end = n - begin < BLOCK ? n : begin + BLOCK;
        uint32_t bad = 0;
        for (size_t i = begin; i < end; ++i) {
            uint32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            bad |= (uint32_t)((bits & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000));
        }
        if (bad) return false;
    }
    return true;
}

bool vkd_all_finite_double(const double *x, size_t n) {
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t end = n - begin < BLOCK ? n : begin + BLOCK;
        uint64_t bad = 0;
        for (size_t i = begin; i < end; ++i) {
            uint64_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            bad |= (uint64_t)((bits & UINT64_C(0x7ff0000000000000)) == UINT64_C(0x7ff0000000000000));
        }
        if (bad) return false;
    }
    return true;
}
