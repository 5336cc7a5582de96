// Writes arrays that numpy.load reads: the NPY format, version 1.0 (numpy/lib/format.py, NEP 1).
#ifndef VKD_CORE_NPY_H
#define VKD_CORE_NPY_H

#include "numerics/status.h"

enum { VKD_NPY_MAX_DIMS = 8 };

// data: float32 in C order, as many as the product of shape[0 .. dims); dims = 0 is a single number. A length
// may be 0, and then data may be NULL. The file appears at `path` whole or not at all: it is written to
// PATH.<pid>.tmp, synced and renamed, and a file that was there before stays until then.
// VKD_INVALID_ARGUMENT: a negative length, too many dimensions, or more bytes than a size_t holds.
// VKD_IO: errno says why.
vkd_status vkd_npy_write(const char *path, const float *data, const int *shape, int dims);

#endif
