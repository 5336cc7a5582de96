// CUDA's runtime, cuBLAS and cuRAND as far as the program calls them, on a CPU: two devices, each with one
// stream that lags as far behind as it may. What is enqueued runs when somebody waits for it, and not before.
// Device memory cannot be read or written by the host's code, which ends the program there, and begins as
// NaN.
#include "cublas_v2.h"
#include "cuda_runtime.h"
#include "curand.h"

#include <cblas.h>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { devices = 2 };
static const size_t memory_bytes = (size_t)2 << 30, page = 4096;

static std::recursive_mutex lock; // one device works at a time
static thread_local int current;
static thread_local cudaError_t last;

// ---- memory
// ---------------------------------------------------------------------------------------------------

static char *memory; // of both devices
static size_t reached;
static std::multimap<size_t, char *> spare; // by size
static std::map<char *, size_t> taken;

// While one exists, device memory is open: the device works.
struct working {
    static int depth;
    working() {
        lock.lock();
        if (!depth++ && memory) mprotect(memory, reached, PROT_READ | PROT_WRITE);
    }
    ~working() {
        if (!--depth && memory) mprotect(memory, reached, PROT_NONE);
        lock.unlock();
    }
};
int working::depth;

// Ranges may not overlap: one that was freed before it was unregistered is found when its place is another's.
static std::map<char *, size_t> registered;
static size_t times_registered;

static void tell_what_is_left() {
    size_t bytes = 0;
    for (const auto &block : taken)
        bytes += block.second;
    if (getenv("VKD_DEVICE_LEFT"))
        fprintf(stderr, "left on the devices: %zu bytes in %zu blocks; pinned: %zu of %zu\n", bytes,
                taken.size(), registered.size(), times_registered);
}

extern "C" cudaError_t cudaMalloc(void **at, size_t bytes) {
    std::lock_guard<std::recursive_mutex> held(lock);
    bytes = (bytes / page + 1) * page;
    if (!memory) {
        memory = (char *)mmap(nullptr, memory_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                              -1, 0);
        if (memory == MAP_FAILED) abort();
        atexit(tell_what_is_left);
    }
    auto found = spare.find(bytes);
    char *block = found == spare.end() ? memory + reached : found->second;
    if (found != spare.end())
        spare.erase(found);
    else if (reached + bytes > memory_bytes)
        return last = cudaErrorMemoryAllocation;
    else
        reached += bytes;
    mprotect(block, bytes, PROT_READ | PROT_WRITE);
    memset(block, 0xff, bytes);
    if (!working::depth) mprotect(block, bytes, PROT_NONE);
    taken[block] = bytes;
    *at = block;
    return cudaSuccess;
}

extern "C" cudaError_t cudaMallocHost(void **at, size_t bytes) {
    *at = malloc(bytes ? bytes : 1);
    if (*at) memset(*at, 0xff, bytes);
    return *at ? cudaSuccess : last = cudaErrorMemoryAllocation;
}

// ---- streams
// --------------------------------------------------------------------------------------------------

struct queue {
    std::deque<std::function<void()>> waiting;
    size_t enqueued = 0, run = 0;
};
static queue queues[devices];

struct CUevent_st {
    queue *of;
    size_t place;
};

static void run_until(queue *q, size_t place) {
    working now;
    while (q->run < place) {
        q->waiting.front()();
        q->waiting.pop_front();
        ++q->run;
    }
}

static void run_all(queue *q) {
    run_until(q, q->enqueued);
}

static void enqueue(std::function<void()> what) {
    std::lock_guard<std::recursive_mutex> held(lock);
    queue *q = &queues[current];
    q->waiting.push_back(std::move(what));
    ++q->enqueued;
}

// Kernels, by cuda_on_cpu.h. Everything here is on the legacy default stream.
void cpu_enqueue(vkd_stream stream, std::function<void()> what) {
    if (stream) abort();
    enqueue(std::move(what));
}

extern "C" {

cudaError_t cudaFree(void *at) {
    if (!at) return cudaSuccess;
    for (queue &q : queues)
        run_all(&q);
    working now;
    auto block = taken.find((char *)at);
    if (block == taken.end()) {
        fprintf(stderr, "cudaFree of what is no device memory\n");
        abort();
    }
    memset(at, 0xff, block->second);
    spare.emplace(block->second, block->first);
    taken.erase(block);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *at) {
    free(at);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (getenv("VKD_DEVICE_PINS_NOTHING") || !at || !bytes) return last = cudaErrorInvalidValue;
    for (const auto &range : registered)
        if (range.first < (char *)at + bytes && (char *)at < range.first + range.second) {
            fprintf(stderr, "cudaHostRegister of what is registered\n");
            abort();
        }
    registered[(char *)at] = bytes;
    ++times_registered;
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *at) {
    std::lock_guard<std::recursive_mutex> held(lock);
    return registered.erase((char *)at) ? cudaSuccess : last = cudaErrorInvalidValue;
}

static bool is_device(const void *at) {
    return memory && (const char *)at >= memory && (const char *)at < memory + memory_bytes;
}

static void check_kind(const void *to, const void *from, enum cudaMemcpyKind kind) {
    if (is_device(to) == (kind == cudaMemcpyHostToDevice) &&
        is_device(from) == (kind == cudaMemcpyDeviceToHost))
        return;
    fprintf(stderr, "cudaMemcpy in the other direction than it says\n");
    abort();
}

// As a driver has it, a copy is of one pinned range or of none: all others meet one that was freed before it
// was unregistered.
static void check_pinned(const void *host, size_t bytes) {
    std::lock_guard<std::recursive_mutex> held(lock);
    const char *at = (const char *)host;
    for (const auto &range : registered) {
        const char *end = range.first + range.second;
        if (range.first < at + bytes && at < end && (at < range.first || at + bytes > end)) {
            fprintf(stderr, "a copy of what is pinned in part\n");
            abort();
        }
    }
}

static void check_copy(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    check_kind(to, from, kind);
    check_pinned(kind == cudaMemcpyHostToDevice ? from : to, bytes);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    check_copy(to, from, bytes, kind);
    run_all(&queues[current]);
    working now;
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t) {
    check_copy(to, from, bytes, kind);
    enqueue([=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t) {
    enqueue([=] { memset(to, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    *event = new CUevent_st{&queues[current], 0};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    std::lock_guard<std::recursive_mutex> held(lock);
    *event = {&queues[current], queues[current].enqueued};
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    run_until(event->of, event->place);
    return cudaSuccess;
}

// ---- devices and errors
// ---------------------------------------------------------------------------------------

cudaError_t cudaSetDevice(int device) {
    // One that another process has for itself.
    const char *busy = getenv("VKD_DEVICE_BUSY");
    if (device < 0 || device >= devices || (busy && device == atoi(busy)))
        return last = cudaErrorInvalidDevice;
    current = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = devices;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    *device = current;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int) {
    strcpy(properties->name, "a CPU");
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all) {
    std::lock_guard<std::recursive_mutex> held(lock);
    *left = *all = memory_bytes;
    for (const auto &block : taken)
        *left -= block.second;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
    run_all(&queues[current]);
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void) {
    cudaError_t error = last;
    last = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void) {
    return last;
}

const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidDevice      ? "invalid device ordinal"
           : error == cudaErrorMemoryAllocation ? "out of memory"
                                                : "an error";
}

// ---- products and random numbers
// ------------------------------------------------------------------------------

cublasStatus_t cublasCreate(cublasHandle_t *handle) {
    *handle = (cublasHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) {
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) {
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t) {
    return "an error";
}

static CBLAS_TRANSPOSE of(cublasOperation_t operation) {
    return operation == CUBLAS_OP_T ? CblasTrans : CblasNoTrans;
}

cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t a, cublasOperation_t b, int m, int n, int k,
                           const float *alpha, const float *A, int lda, const float *B, int ldb,
                           const float *beta, float *C, int ldc) {
    float by = *alpha, keep = *beta;
    enqueue([=] { cblas_sgemm(CblasColMajor, of(a), of(b), m, n, k, by, A, lda, B, ldb, keep, C, ldc); });
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSsyrk(cublasHandle_t, cublasFillMode_t fill, cublasOperation_t a, int n, int k,
                           const float *alpha, const float *A, int lda, const float *beta, float *C,
                           int ldc) {
    float by = *alpha, keep = *beta;
    CBLAS_UPLO part = fill == CUBLAS_FILL_MODE_UPPER ? CblasUpper : CblasLower;
    enqueue([=] { cblas_ssyrk(CblasColMajor, part, of(a), n, k, by, A, lda, keep, C, ldc); });
    return CUBLAS_STATUS_SUCCESS;
}

// Its numbers are a function of seed and place.
struct curandGenerator {
    unsigned long long seed, place;
};

curandStatus_t curandCreateGenerator(curandGenerator_t *generator, int) {
    *generator = new struct curandGenerator();
    return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator, unsigned long long seed) {
    generator->seed = seed;
    return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator, unsigned long long offset) {
    generator->place = offset;
    return CURAND_STATUS_SUCCESS;
}

// In (0,1], as cuRAND's.
curandStatus_t curandGenerateUniform(curandGenerator_t generator, float *x, size_t n) {
    std::mt19937_64 numbers(generator->seed);
    numbers.discard(generator->place);
    generator->place += n;
    enqueue([=]() mutable {
        for (size_t i = 0; i < n; ++i)
            x[i] = (float)(((numbers() >> 40) + 1) * 0x1p-24);
    });
    return CURAND_STATUS_SUCCESS;
}
}
