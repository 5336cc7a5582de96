// The threads of a kernel on the CPU: those of a block take turns, on stacks of their own where they meet
// barriers.
#undef _FORTIFY_SOURCE // which takes a jump to another stack for a mistake
#include "cuda_on_cpu.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

enum { stack_bytes = 64 * 1024 };

struct cpu_thread {
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack;
    bool started, done;
};

static thread_local std::vector<cpu_thread> threads; // of the block that runs
static thread_local ucontext_t scheduler;
static thread_local jmp_buf scheduler_place;
static thread_local cpu_thread *running;
static thread_local const std::function<void()> *thread_body;
thread_local bool cpu_threads_backward;

static void end_with(const char *what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

// Between stacks: a context switch is a system call, a jump is none. The sanitizers follow the former.
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined __clang__
enum { jumps = 0 };
#else
enum { jumps = 1 };
#endif

static void leave_thread() {
    if (!jumps)
        swapcontext(&running->context, &scheduler);
    else if (!_setjmp(running->place))
        _longjmp(scheduler_place, 1);
}

static void enter_thread() {
    if (!jumps) {
        swapcontext(&scheduler, &running->context);
        return;
    }
    if (_setjmp(scheduler_place)) return; // it has left
    if (running->started) _longjmp(running->place, 1);
    running->started = true;
    setcontext(&running->context);
}

void cpu_barrier() {
    if (!running) end_with("a barrier that the block's first thread did not meet");
    leave_thread();
}

static void run_thread() {
    (*thread_body)();
    running->done = true;
    leave_thread();
}

static void make_thread(cpu_thread &t) {
    if (t.stack.empty()) t.stack.resize(stack_bytes);
    t.started = t.done = false;
    getcontext(&t.context);
    t.context.uc_stack.ss_sp = t.stack.data();
    t.context.uc_stack.ss_size = t.stack.size();
    t.context.uc_link = nullptr;
    makecontext(&t.context, run_thread, 0);
}

static void place_thread(unsigned i) {
    threadIdx = dim3(i % blockDim.x, i / blockDim.x);
}

// To its next barrier, or its end.
static void resume(unsigned i) {
    place_thread(i);
    running = &threads[i];
    enter_thread();
    running = nullptr;
}

static void run_block(const std::function<void()> &body) {
    const unsigned count = blockDim.x * blockDim.y;
    if (threads.size() < count) threads.resize(count);
    thread_body = &body;
    const unsigned first = cpu_threads_backward ? count - 1 : 0;
    make_thread(threads[first]);
    resume(first);
    if (threads[first].done) { // no barrier: the others need no stacks of their own
        for (unsigned i = 0; i < count; ++i) {
            if (i == first) continue;
            place_thread(i);
            body();
        }
        return;
    }
    for (unsigned i = 0; i < count; ++i)
        if (i != first) make_thread(threads[i]);
    for (unsigned done = 0, phase = 0; done < count; ++phase) {
        done = 0;
        for (unsigned i = 0; i < count; ++i) {
            const unsigned at = cpu_threads_backward ? count - 1 - i : i;
            if (phase > 0 || at != first) resume(at);
            done += threads[at].done;
        }
        if (done > 0 && done < count) end_with("a barrier that some threads of the block did not meet");
    }
}

void cpu_run(dim3 grid, dim3 block, const std::function<void()> &thread) {
    gridDim = grid;
    blockDim = block;
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                blockIdx = dim3(x, y, z);
                run_block(thread);
            }
}
