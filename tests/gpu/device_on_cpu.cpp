// gpu/device.h on a CPU: malloc, memcpy and CBLAS, and a stream that may lag behind.
#include "device_on_cpu.h"

#include "cuda_on_cpu.h"

#include <atomic>
#include <cblas.h>
#include <deque>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>

cpu_device_options cpu_device;
std::atomic<long> cpu_alloc_countdown, cpu_allocations, cpu_waits;
std::atomic<size_t> cpu_bytes_fetched;

static void end_with(const char *what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

// ---- a stream
// -------------------------------------------------------------------------------------------------

struct CUstream_st {
    bool lazy, backward;
    size_t enqueued = 0, run = 0;
    std::deque<std::function<void()>> waiting;
};

static void run_until(vkd_stream stream, size_t place) {
    cpu_threads_backward = stream->backward;
    while (stream->run < place) {
        stream->waiting.front()();
        stream->waiting.pop_front();
        ++stream->run;
    }
}

void cpu_enqueue(vkd_stream stream, std::function<void()> what) {
    stream->waiting.push_back(std::move(what));
    ++stream->enqueued;
    if (!stream->lazy) run_until(stream, stream->enqueued);
}

struct vkd_event {
    size_t place;
};

// ---- a device
// -------------------------------------------------------------------------------------------------

struct vkd_device {
    CUstream_st stream;
    vkd_launch launch;
    std::string error;
};

vkd_status vkd_device_open(vkd_device **out, int, vkd_stream) {
    vkd_device *device = *out = new vkd_device;
    device->stream.lazy = cpu_device.lazy;
    device->stream.backward = cpu_device.backward;
    vkd_device_set_launch(device, 4, 2, 3);
    return VKD_OK;
}

void vkd_device_close(vkd_device *device) {
    if (!device) return;
    run_until(&device->stream, device->stream.enqueued);
    delete device;
}

void cpu_break(vkd_device *device, const char *error) {
    device->error = error;
}

vkd_status vkd_device_status(vkd_device *device) {
    return device->error.empty() ? VKD_OK : VKD_DEVICE;
}

const char *vkd_device_error(const vkd_device *device) {
    return device->error.c_str();
}

void vkd_device_set_launch(vkd_device *device, int block, int columns, int parts) {
    device->launch = {&device->stream, block, columns, parts};
}

void vkd_device_use(vkd_device *) {}

const vkd_launch *vkd_device_launch(const vkd_device *device) {
    return &device->launch;
}

// ---- memory
// ---------------------------------------------------------------------------------------------------

static void *allocate(size_t bytes) {
    if (cpu_alloc_countdown && --cpu_alloc_countdown == 0) return nullptr;
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) end_with("no memory");
    memset(memory, 0xff, bytes); // NaN, until it is written
    ++cpu_allocations;
    return memory;
}

static void release(vkd_device *device, void *memory) {
    if (!memory) return;
    run_until(&device->stream, device->stream.enqueued); // cudaFree waits
    free(memory);
    --cpu_allocations;
}

void *vkd_device_alloc(vkd_device *device, size_t bytes) {
    void *memory = allocate(bytes);
    if (memory) vkd_device_zero(device, memory, bytes);
    return memory;
}

void vkd_device_free(vkd_device *device, void *memory) {
    release(device, memory);
}

void *vkd_pinned_alloc(vkd_device *, size_t bytes) {
    return allocate(bytes);
}

// What copies still want of it is gone.
void vkd_pinned_free(vkd_device *, void *memory) {
    if (!memory) return;
    free(memory);
    --cpu_allocations;
}

void vkd_device_send(vkd_device *device, void *to, const void *pinned, size_t bytes) {
    cpu_enqueue(&device->stream, [=] { memcpy(to, pinned, bytes); });
}

void vkd_device_fetch(vkd_device *device, void *pinned, const void *from, size_t bytes) {
    cpu_bytes_fetched += bytes;
    cpu_enqueue(&device->stream, [=] { memcpy(pinned, from, bytes); });
}

void vkd_device_zero(vkd_device *device, void *to, size_t bytes) {
    cpu_enqueue(&device->stream, [=] { memset(to, 0, bytes); });
}

vkd_event *vkd_event_create(vkd_device *) {
    return new vkd_event{0};
}

void vkd_event_free(vkd_device *, vkd_event *event) {
    delete event;
}

void vkd_event_mark(vkd_device *device, vkd_event *event) {
    event->place = device->stream.enqueued;
}

void vkd_event_wait(vkd_device *device, vkd_event *event) {
    cpu_waits += device->stream.run < event->place;
    run_until(&device->stream, event->place);
}

// ---- products
// -------------------------------------------------------------------------------------------------

void vkd_device_gemm(vkd_device *device, bool transpose_a, bool transpose_b, int m, int n, int k, float alpha,
                     const float *A, int lda, const float *B, int ldb, float beta, float *C, int ldc) {
    cpu_enqueue(&device->stream, [=] {
        cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                    transpose_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);
    });
}

void vkd_device_syrk(vkd_device *device, int m, int k, const float *A, int lda, float *C, int ldc) {
    cpu_enqueue(&device->stream,
                [=] { cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, m, k, 1, A, lda, 0, C, ldc); });
}
