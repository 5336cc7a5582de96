// One loop spread over threads where the compiler has OpenMP, a plain loop elsewhere. Every user
// gives each iteration its own output, so results do not depend on the number of threads.
#ifndef VKD_NUMERICS_PARALLEL_H
#define VKD_NUMERICS_PARALLEL_H

#ifdef _OPENMP
#define VKD_PARALLEL_FOR _Pragma("omp parallel for schedule(static)")
#else
#define VKD_PARALLEL_FOR
#endif

#endif
