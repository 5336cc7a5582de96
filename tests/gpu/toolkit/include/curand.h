#ifndef VKD_TESTS_CURAND_H
#define VKD_TESTS_CURAND_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct curandGenerator *curandGenerator_t;
typedef enum { CURAND_STATUS_SUCCESS = 0 } curandStatus_t;
enum { CURAND_RNG_PSEUDO_PHILOX4_32_10 = 161 };

curandStatus_t curandCreateGenerator(curandGenerator_t *generator, int type);
curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator, unsigned long long seed);
curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator, unsigned long long offset);
curandStatus_t curandGenerateUniform(curandGenerator_t generator, float *x, size_t n);

#ifdef __cplusplus
}
#endif
#endif
