// What the kernels share; it stands before each of their files when they are compiled. `real` is float or double.

// a · b + c, rounded once.
static __device__ real fused(real a, real b, real c)
{
    return sizeof(real) == sizeof(float) ? (real)fmaf(a, b, c) : (real)fma(a, b, c);
}

// The sum of what each thread of the block has, in the order of a tree. The block has a power of two of threads, at
// most 256, and calls it once.
template <class T> static __device__ T sum_of_block(T own)
{
    __shared__ T parts[256];
    parts[threadIdx.x] = own;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            parts[threadIdx.x] += parts[threadIdx.x + half];
        }
        __syncthreads();
    }
    return parts[0];
}
