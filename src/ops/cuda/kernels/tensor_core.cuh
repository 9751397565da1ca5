// What a tensor core does, an instruction for the 32 threads of a warp. PTX ISA, "Matrix fragments for mma.m16n8k8" and
// "for mma.m16n8k16" state which thread has which numbers. Needs a card of version 8.0.
// Where the kernels run on the processor, tests/cuda_emulated/tensor_core.h stands in its place.

#ifndef EMULATED

static __device__ float to_tensor_float32(float x)
{
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

static __device__ float to_bfloat16(float x)
{
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return __uint_as_float((unsigned)bits << 16);
}

// sums += a · b, 16 × 8 of depth 8: a[i][j] is at row g + 8i and depth t + 4j, b[j] there at column g.
static __device__ void multiply(float (&sums)[4], const float (&a)[2][2], const float (&b)[2])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(__float_as_uint(a[0][0])), "r"(__float_as_uint(a[1][0])), "r"(__float_as_uint(a[0][1])),
        "r"(__float_as_uint(a[1][1])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

// Two numbers that were rounded to bfloat16, in one register.
static __device__ unsigned pair(float low, float high)
{
    return __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632);
}

// sums += a · b, 16 × 8 of depth 16: a[i][j] is at row g + 8i and depth 2t + j % 2 + j / 2 · 8, b[j] there at column g.
static __device__ void multiply(float (&sums)[4], const float (&a)[2][4], const float (&b)[4])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(pair(a[0][0], a[0][1])), "r"(pair(a[1][0], a[1][1])), "r"(pair(a[0][2], a[0][3])),
        "r"(pair(a[1][2], a[1][3])), "r"(pair(b[0], b[1])), "r"(pair(b[2], b[3])));
}

#endif
