// The thin layer between the taps and CUDA: memory, copies, events and products on one stream of one GPU. The
// tests put another device.c under the same functions, made of malloc, memcpy and CBLAS.
//
// A vkd_device is one GPU and one stream of it, for one thread at a time; taps of a network replica share it.
// Nothing here is global: several GPUs are several vkd_device, each with its own handle.
//
// Errors: the first failed call of CUDA or cuBLAS is kept, and later ones do not reach them. So a caller may
// enqueue a whole pass and ask once, with vkd_device_status.
#ifndef VKD_GPU_DEVICE_H
#define VKD_GPU_DEVICE_H

#include "numerics/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *vkd_stream; // what cudaStream_t is; NULL: the legacy default stream, Darknet's
typedef struct vkd_device vkd_device;
typedef struct vkd_event vkd_event;

// How a kernel's threads are shared out. Reductions add in an order that these three decide, and nothing
// else.
typedef struct vkd_launch {
    vkd_stream stream;
    int block;   // threads of a block, a power of two, at most 512
    int columns; // of a block's tile where threads share a column: a power of two, at most block
    int parts;   // blocks of a sum over a whole matrix
} vkd_launch;

// Makes the cuBLAS handle of GPU `index` for `stream`, which stays the caller's. *device is NULL where there
// was no memory on the host (VKD_OUT_OF_MEMORY); else it is there to be asked what failed (VKD_DEVICE), and
// closed.
vkd_status vkd_device_open(vkd_device **device, int index, vkd_stream stream);
void vkd_device_close(vkd_device *device);

// VKD_OK, or VKD_DEVICE where a call has failed since vkd_device_open. Looks for failed launches, too.
vkd_status vkd_device_status(vkd_device *device);
// The call that failed first and the library's word for why: "cudaMalloc: out of memory". "" where none has.
const char *vkd_device_error(const vkd_device *device);

// Other ways to share out threads, for tests; what vkd_launch says of its fields must hold.
void vkd_device_set_launch(vkd_device *device, int block, int columns, int parts);

// Makes this GPU the calling thread's. Every function of device_tap.h begins with it.
void vkd_device_use(vkd_device *device);
const vkd_launch *vkd_device_launch(const vkd_device *device);

// ---- memory: zeroed; NULL where there is none, which is no failed call ----

void *vkd_device_alloc(vkd_device *device, size_t bytes);
void vkd_device_free(vkd_device *device, void *memory);
void *vkd_pinned_alloc(vkd_device *device, size_t bytes); // on the host, for copies that nobody waits for
void vkd_pinned_free(vkd_device *device, void *memory);

// ---- in the stream's order; nothing waits ----

void vkd_device_send(vkd_device *device, void *to, const void *pinned, size_t bytes);
void vkd_device_fetch(vkd_device *device, void *pinned, const void *from, size_t bytes);
void vkd_device_zero(vkd_device *device, void *to, size_t bytes);

// An event marks a place in the stream; waiting returns when the GPU has passed its last mark, or at once
// where it has none.
vkd_event *vkd_event_create(vkd_device *device); // NULL: the call failed
void vkd_event_free(vkd_device *device, vkd_event *event);
void vkd_event_mark(vkd_device *device, vkd_event *event);
void vkd_event_wait(vkd_device *device, vkd_event *event);

// C (m,n) = alpha op(A) op(B) + beta C, row-major, float32 throughout (no TF32); lda, ldb, ldc are row
// strides.
void vkd_device_gemm(vkd_device *device, bool transpose_a, bool transpose_b, int m, int n, int k, float alpha,
                     const float *A, int lda, const float *B, int ldb, float beta, float *C, int ldc);

// The lower triangle of C (m,m), row-major, = A A' for A (m,k).
void vkd_device_syrk(vkd_device *device, int m, int k, const float *A, int lda, float *C, int ldc);

#ifdef __cplusplus
}
#endif

#endif
