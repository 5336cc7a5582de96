#include "gpu/device.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <stdio.h>
#include <stdlib.h>

// Many blocks, so that sums keep a large GPU's memory busy; rows of 32 neighbouring threads, a warp, share
// tiles.
#ifndef VKD_DEVICE_LAUNCH
#define VKD_DEVICE_LAUNCH 512, 32, 512
#endif

struct vkd_device {
    int index;
    vkd_launch launch;
    cublasHandle_t blas;
    char error[256]; // of the first call that failed
};

struct vkd_event {
    cudaEvent_t event;
    bool marked;
};

static bool has_failed(const vkd_device *device) {
    return device->error[0] != '\0';
}

static void fail(vkd_device *device, const char *call, const char *why) {
    if (!has_failed(device)) snprintf(device->error, sizeof device->error, "%s: %s", call, why);
}

static bool check(vkd_device *device, const char *call, cudaError_t result) {
    if (result != cudaSuccess) fail(device, call, cudaGetErrorString(result));
    return result == cudaSuccess;
}

static void check_blas(vkd_device *device, const char *call, cublasStatus_t result) {
    if (result != CUBLAS_STATUS_SUCCESS) fail(device, call, cublasGetStatusString(result));
}

// ---- a device
// -------------------------------------------------------------------------------------------------

vkd_status vkd_device_open(vkd_device **out, int index, vkd_stream stream) {
    vkd_device *device = *out = calloc(1, sizeof *device);
    if (!device) return VKD_OUT_OF_MEMORY;
    device->index = index;
    device->launch = (vkd_launch){stream, VKD_DEVICE_LAUNCH};
    if (!check(device, "cudaSetDevice", cudaSetDevice(index))) return VKD_DEVICE;
    check_blas(device, "cublasCreate", cublasCreate(&device->blas));
    if (has_failed(device)) return VKD_DEVICE;
    check_blas(device, "cublasSetStream", cublasSetStream(device->blas, stream));
    check_blas(device, "cublasSetMathMode", cublasSetMathMode(device->blas, CUBLAS_DEFAULT_MATH));
    return vkd_device_status(device);
}

void vkd_device_close(vkd_device *device) {
    if (!device) return;
    cudaSetDevice(device->index);
    if (device->blas) cublasDestroy(device->blas);
    free(device);
}

vkd_status vkd_device_status(vkd_device *device) {
    check(device, "a kernel's launch", cudaPeekAtLastError());
    return has_failed(device) ? VKD_DEVICE : VKD_OK;
}

const char *vkd_device_error(const vkd_device *device) {
    return device->error;
}

void vkd_device_use(vkd_device *device) {
    check(device, "cudaSetDevice", cudaSetDevice(device->index));
}

void vkd_device_set_launch(vkd_device *device, int block, int columns, int parts) {
    device->launch = (vkd_launch){device->launch.stream, block, columns, parts};
}

const vkd_launch *vkd_device_launch(const vkd_device *device) {
    return &device->launch;
}

// ---- memory
// ---------------------------------------------------------------------------------------------------

// No memory is an answer, and no failure that later calls should meet.
static void *memory_or_null(vkd_device *device, const char *call, cudaError_t result, void *memory) {
    if (result == cudaErrorMemoryAllocation)
        cudaGetLastError();
    else if (check(device, call, result))
        return memory;
    return NULL;
}

void *vkd_device_alloc(vkd_device *device, size_t bytes) {
    void *memory = NULL;
    if (has_failed(device)) return NULL;
    cudaError_t result = cudaMalloc(&memory, bytes ? bytes : 1);
    memory = memory_or_null(device, "cudaMalloc", result, memory);
    if (memory) vkd_device_zero(device, memory, bytes);
    return memory;
}

void vkd_device_free(vkd_device *device, void *memory) {
    if (memory) check(device, "cudaFree", cudaFree(memory));
}

void *vkd_pinned_alloc(vkd_device *device, size_t bytes) {
    void *memory = NULL;
    if (has_failed(device)) return NULL;
    cudaError_t result = cudaMallocHost(&memory, bytes ? bytes : 1);
    return memory_or_null(device, "cudaMallocHost", result, memory);
}

void vkd_pinned_free(vkd_device *device, void *memory) {
    if (memory) check(device, "cudaFreeHost", cudaFreeHost(memory));
}

// ---- in the stream's order
// ------------------------------------------------------------------------------------

static void copy(vkd_device *device, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    if (has_failed(device) || !bytes) return;
    check(device, "cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, kind, device->launch.stream));
}

void vkd_device_send(vkd_device *device, void *to, const void *pinned, size_t bytes) {
    copy(device, to, pinned, bytes, cudaMemcpyHostToDevice);
}

void vkd_device_fetch(vkd_device *device, void *pinned, const void *from, size_t bytes) {
    copy(device, pinned, from, bytes, cudaMemcpyDeviceToHost);
}

void vkd_device_zero(vkd_device *device, void *to, size_t bytes) {
    if (has_failed(device) || !bytes) return;
    check(device, "cudaMemsetAsync", cudaMemsetAsync(to, 0, bytes, device->launch.stream));
}

vkd_event *vkd_event_create(vkd_device *device) {
    vkd_event *event = has_failed(device) ? NULL : calloc(1, sizeof *event);
    if (!event) return NULL;
    cudaError_t result = cudaEventCreateWithFlags(&event->event, cudaEventDisableTiming);
    if (check(device, "cudaEventCreate", result)) return event;
    free(event);
    return NULL;
}

void vkd_event_free(vkd_device *device, vkd_event *event) {
    if (!event) return;
    check(device, "cudaEventDestroy", cudaEventDestroy(event->event));
    free(event);
}

void vkd_event_mark(vkd_device *device, vkd_event *event) {
    if (has_failed(device)) return;
    event->marked = check(device, "cudaEventRecord", cudaEventRecord(event->event, device->launch.stream));
}

void vkd_event_wait(vkd_device *device, vkd_event *event) {
    if (has_failed(device) || !event->marked) return;
    check(device, "cudaEventSynchronize", cudaEventSynchronize(event->event));
}

// cuBLAS is column-major: what it sees in A, B and C are the transposes, and C' = op(B)' op(A)'.
void vkd_device_gemm(vkd_device *device, bool transpose_a, bool transpose_b, int m, int n, int k, float alpha,
                     const float *A, int lda, const float *B, int ldb, float beta, float *C, int ldc) {
    if (has_failed(device)) return;
    cublasOperation_t a = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                      b = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    check_blas(device, "cublasSgemm",
               cublasSgemm(device->blas, b, a, n, m, k, &alpha, B, ldb, A, lda, &beta, C, ldc));
}

// A is seen as A' (k,m), the lower triangle of C as the upper one.
void vkd_device_syrk(vkd_device *device, int m, int k, const float *A, int lda, float *C, int ldc) {
    const float one = 1, zero = 0;
    if (has_failed(device)) return;
    check_blas(
        device, "cublasSsyrk",
        cublasSsyrk(device->blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T, m, k, &one, A, lda, &zero, C, ldc));
}
