#ifndef VKD_TESTS_CUDA_RUNTIME_H
#define VKD_TESTS_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"

#ifdef __cplusplus
#include <algorithm>
using std::max;
using std::min;

struct float3 {
    float x, y, z;
};
inline float3 make_float3(float x, float y, float z) {
    return {x, y, z};
}
inline float atomicAdd(float *at, float x) {
    float old = *at;
    *at += x;
    return old;
}
#endif
#endif
