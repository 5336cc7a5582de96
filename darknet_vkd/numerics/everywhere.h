// Functions that the CPU and a kernel share: one text, so that they cannot drift.
#ifndef VKD_NUMERICS_EVERYWHERE_H
#define VKD_NUMERICS_EVERYWHERE_H

#ifdef __CUDACC__
#define VKD_EVERYWHERE __host__ __device__
#else
#define VKD_EVERYWHERE
#endif

#endif
