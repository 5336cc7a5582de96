// CUDA's part of a kernel for the CPU: included before a .cu file that g++ compiles. A block's threads run
// one after the other; one that meets a barrier lets the others catch up. Blocks run one after the other.
#ifndef VKD_TESTS_GPU_CUDA_ON_CPU_H
#define VKD_TESTS_GPU_CUDA_ON_CPU_H

#include "gpu/device.h"

#include <functional>
#include <math.h>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local // a device is one thread's, and runs one block at a time

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
extern thread_local bool cpu_threads_backward; // a block's threads run from the last to the first

// Ends the program where not all threads of the block meet it.
void cpu_barrier();
#define __syncthreads() cpu_barrier()

void cpu_enqueue(vkd_stream stream, std::function<void()> what);
void cpu_run(dim3 grid, dim3 block, const std::function<void()> &thread);

// Arguments are copied now and used when the stream comes to it, as a GPU does.
template <class... P, class... A>
void cpu_launch(void (*kernel)(P...), dim3 grid, dim3 block, vkd_stream stream, A... arguments) {
    std::tuple<P...> held(arguments...);
    cpu_enqueue(stream, [=] { cpu_run(grid, block, [&] { std::apply(kernel, held); }); });
}

#define VKD_LAUNCH(kernel, grid, block, launch, ...)                                                         \
    cpu_launch(kernel, grid, block, (launch)->stream, __VA_ARGS__)

#endif
