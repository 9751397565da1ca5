// CUDA's threads on a processor: the threads of a block take turns, each until it waits for the others. Slow, and
// the same each time; for kernels of one dimension without atomics or warps.
#pragma once

#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
// Blocks come one after the other, so that one copy serves all.
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(threads, blocks)

struct Index {
    unsigned x = 0;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done;
};
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static std::function<void()> body;

static void __syncthreads()
{
    swapcontext(&fibers[threadIdx.x].context, &scheduler);
}

static void run_body()
{
    body();
    fibers[threadIdx.x].done = true;
}

static void launch(unsigned blocks, unsigned threads, std::function<void()> kernel)
{
    body = kernel;
    fibers.resize(threads);
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        for (Fiber &fiber : fibers) {
            fiber.stack.resize(1 << 16);
            fiber.done = false;
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.data();
            fiber.context.uc_stack.ss_size = fiber.stack.size();
            fiber.context.uc_link = &scheduler;
            makecontext(&fiber.context, run_body, 0);
        }
        for (bool all_done = false; !all_done;) {
            all_done = true;
            for (unsigned i = 0; i < threads; i++) {
                if (!fibers[i].done) {
                    threadIdx.x = i;
                    swapcontext(&scheduler, &fibers[i].context);
                    all_done = all_done && fibers[i].done;
                }
            }
        }
    }
}
