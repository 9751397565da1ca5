// CUDA's threads on a processor: the threads of a block take turns, each until it waits for the others. Slow, and
// the same each time; for kernels of one dimension without atomics or warps. With EMULATED_REVERSED set the last thread and
// the last block come first: what then comes out otherwise has read what another thread writes, without waiting for it.
#pragma once

#include <csetjmp>
#include <cstdlib>
#include <functional>
#include <ucontext.h>
#include <vector>

#define EMULATED
#define __global__
#define __device__
// Blocks come one after the other, so that one copy serves all.
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(threads, blocks)

struct Index {
    unsigned x = 0, y = 0, z = 0;
};
static Index threadIdx, blockIdx, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};

#ifdef EMULATED_ALONE

// For kernels whose threads do not wait.
template <class Kernel> static void launch(unsigned blocks, unsigned threads, Kernel kernel)
{
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) {
            kernel();
        }
    }
}

static void __syncthreads() { abort(); }

#else

// A thread has a stack of its own, which makecontext enters; from then on jumps change between them, since swapcontext
// calls the system each time. It is kept for the next kernel.
struct Fiber {
    std::vector<char> stack;
    jmp_buf at;
    bool begun = false, done = false;
};
static std::vector<Fiber> fibers;
static ucontext_t entry;
static jmp_buf scheduler;
static std::function<void()> body;

static void __syncthreads()
{
    if (_setjmp(fibers[threadIdx.x].at) == 0) {
        _longjmp(scheduler, 1);
    }
}

static void run_bodies()
{
    for (;;) {
        body();
        fibers[threadIdx.x].done = true;
        __syncthreads();
    }
}

// Until it waits, or is done.
static void go_on(Fiber &fiber)
{
    if (_setjmp(scheduler) != 0) {
        return;
    }
    if (fiber.begun) {
        _longjmp(fiber.at, 1);
    }
    fiber.begun = true;
    getcontext(&entry);
    entry.uc_stack.ss_sp = fiber.stack.data();
    entry.uc_stack.ss_size = fiber.stack.size();
    makecontext(&entry, run_bodies, 0);
    setcontext(&entry);
}

static void launch(unsigned blocks, unsigned threads, std::function<void()> kernel)
{
    body = kernel;
    if (fibers.size() < threads) {
        fibers.resize(threads);
    }
    gridDim.x = blocks;
    blockDim.x = threads;
    static const bool reversed = getenv("EMULATED_REVERSED");
    for (unsigned block = 0; block < blocks; block++) {
        blockIdx.x = reversed ? blocks - 1 - block : block;
        for (unsigned i = 0; i < threads; i++) {
            fibers[i].stack.resize(1 << 16);
            fibers[i].done = false;
        }
        for (bool all_done = false; !all_done;) {
            all_done = true;
            for (unsigned turn = 0; turn < threads; turn++) {
                const unsigned i = reversed ? threads - 1 - turn : turn;
                if (!fibers[i].done) {
                    threadIdx.x = i;
                    go_on(fibers[i]);
                    all_done = all_done && fibers[i].done;
                }
            }
        }
    }
}

#endif
