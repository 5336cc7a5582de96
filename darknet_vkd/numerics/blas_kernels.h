// OpenBLAS chooses its kernels by the processor's model number, and for one that is newer than itself takes
// those of the oldest it knows: Debian 12's runs a Xeon of 2023 at a fifth of its speed.
#ifndef VKD_NUMERICS_BLAS_KERNELS_H
#define VKD_NUMERICS_BLAS_KERNELS_H

// Where OpenBLAS uses kernels without AVX2 on a processor that has it: those that the processor's
// instructions allow, as OPENBLAS_CORETYPE would choose them. A choice of the user's by that variable stays.
// Before the first product, and while one thread runs.
void vkd_blas_choose_kernels(void);

// The kernels in force, by OpenBLAS's name for them: "Haswell", "SkylakeX", ...
const char *vkd_blas_kernels(void);

#endif
