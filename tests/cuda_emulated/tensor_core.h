// In place of src/ops/cuda/kernels/tensor_core.cuh: what a tensor core does, without its rounding, so that a test
// sees which numbers it is given to the last digit. The threads of a warp lay their parts down, wait, and take up what
// the others laid.
#pragma once

static real to_tensor_float32(real x) { return x; }
static real to_bfloat16(real x) { return x; }

template <int parts, class Depth>
static void multiply_at(real (&sums)[4], const real (&a)[2][parts], const real (&b)[parts], Depth depth)
{
    static real left[8][16][16], right[8][16][8];
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int j = 0; j < parts; j++) {
        left[warp][g][depth(t, j)] = a[0][j];
        left[warp][g + 8][depth(t, j)] = a[1][j];
        right[warp][depth(t, j)][g] = b[j];
    }
    __syncthreads();
    for (int k = 0; k < 4 * parts; k++) {
        for (int i = 0; i < 4; i++) {
            sums[i] += left[warp][g + i / 2 * 8][k] * right[warp][k][2 * t + i % 2];
        }
    }
    __syncthreads();
}

static void multiply(real (&sums)[4], const real (&a)[2][2], const real (&b)[2])
{
    multiply_at<2>(sums, a, b, [](int t, int j) { return t + 4 * j; });
}

static void multiply(real (&sums)[4], const real (&a)[2][4], const real (&b)[4])
{
    multiply_at<4>(sums, a, b, [](int t, int j) { return 2 * t + j % 2 + j / 2 * 8; });
}
