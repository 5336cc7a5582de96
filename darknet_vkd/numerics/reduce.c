#include "numerics/reduce.h"

#include "numerics/parallel.h"

// LANES running sums vectorise without reassociating.
enum { PARTS = 64, LANES = 8, RUN = 4096 };

// A run is up to RUN columns of one row; each part takes neighbouring runs.
double vkd_reduce(vkd_row_sum sum, const float *a, const float *b, const float *weight, size_t rows,
                  size_t cols) {
    const size_t runs_of_row = (cols + RUN - 1) / RUN, runs = rows * runs_of_row;
    const size_t size = (runs + PARTS - 1) / PARTS;
    double sums[PARTS] = {0}, total = 0;
    VKD_PARALLEL_FOR_VALUES(rows * cols)
    for (int part = 0; part < PARTS; ++part)
        for (size_t run = part * size; run < runs && run < (part + 1) * size; ++run) {
            const size_t row = run / runs_of_row, begin = run % runs_of_row * RUN;
            const size_t n = cols - begin < RUN ? cols - begin : RUN, at = row * cols + begin;
            sums[part] += sum(a + at, b + at, weight ? weight + begin : NULL, n);
        }
    for (int part = 0; part < PARTS; ++part)
        total += sums[part];
    return total;
}

static double row_dot(const float *a, const float *b, const float *weight, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    if (weight)
        for (; i + LANES <= n; i += LANES)
            for (int j = 0; j < LANES; ++j)
                lane[j] += (double)weight[i + j] * a[i + j] * b[i + j];
    else
        for (; i + LANES <= n; i += LANES)
            for (int j = 0; j < LANES; ++j)
                lane[j] += (double)a[i + j] * b[i + j];
    for (; i < n; ++i)
        sum += (weight ? weight[i] : 1.0) * a[i] * b[i];
    for (int j = 0; j < LANES; ++j)
        sum += lane[j];
    return sum;
}

double vkd_dot(const float *a, const float *b, const float *weight, size_t rows, size_t cols) {
    return vkd_reduce(row_dot, a, b, weight, rows, cols);
}

void vkd_scale_columns(const float *x, const float *weight, size_t rows, size_t cols, float *y) {
    VKD_PARALLEL_FOR_VALUES(rows * cols)
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < cols; ++j)
            y[i * cols + j] = weight[j] * x[i * cols + j];
}
