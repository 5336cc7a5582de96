// Sums over sample matrices (rows,cols): rows are channels, columns samples. In float64, over a fixed
// partition that is added up in order: the same bits for every number of threads.
#ifndef VKD_NUMERICS_REDUCE_H
#define VKD_NUMERICS_REDUCE_H

#include <stddef.h>

// The sum over n elements of one row; weight (n) may be NULL for all 1.
typedef double (*vkd_row_sum)(const float *a, const float *b, const float *weight, size_t n);

double vkd_reduce(vkd_row_sum sum,
                  const float *a,      // (rows,cols)
                  const float *b,      // (rows,cols)
                  const float *weight, // (cols) or NULL
                  size_t rows, size_t cols);

// sum_ij weight_j a_ij b_ij
double vkd_dot(const float *a,      // (rows,cols)
               const float *b,      // (rows,cols)
               const float *weight, // (cols) or NULL
               size_t rows, size_t cols);

// y_ij = weight_j x_ij. y may be x.
void vkd_scale_columns(const float *x,      // (rows,cols)
                       const float *weight, // (cols)
                       size_t rows, size_t cols,
                       float *y); // (rows,cols) =

#endif
