// What candle's kernels use of CUDA besides emulate.h, for numbers of 32 and 64 bits. Threads take turns, so that nothing
// comes between an atomic operation's reading and its writing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

using std::isnan;
using std::max;
using std::min;
using std::signbit;

#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0

static double normcdf(double x) { return erfc(-x / sqrt(2.0)) / 2; }
static float normcdff(float x) { return normcdf(x); }
static float rsqrtf(float x) { return 1 / sqrtf(x); }

template <class To, class From> static To bits_as(From from)
{
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static int __float_as_int(float x) { return bits_as<int>(x); }
static unsigned __float_as_uint(float x) { return bits_as<unsigned>(x); }
static float __int_as_float(int x) { return bits_as<float>(x); }
static float __uint_as_float(unsigned x) { return bits_as<float>(x); }
static long long __double_as_longlong(double x) { return bits_as<long long>(x); }
static double __longlong_as_double(long long x) { return bits_as<double>(x); }

// The type that is asked for, whatever the other arguments are.
template <class T> struct Asked {
    typedef T type;
};
template <class T> using asked = typename Asked<T>::type;

template <class T> static T atomicAdd(T *at, asked<T> value)
{
    const T old = *at;
    *at += value;
    return old;
}
template <class T> static T atomicCAS(T *at, asked<T> expected, asked<T> value)
{
    const T old = *at;
    *at = old == expected ? value : old;
    return old;
}
template <class T> static T atomicMin(T *at, asked<T> value)
{
    const T old = *at;
    *at = min(old, value);
    return old;
}
template <class T> static T atomicMax(T *at, asked<T> value)
{
    const T old = *at;
    *at = max(old, value);
    return old;
}

// All threads of a block call it together.
template <class T> static T __shfl_xor_sync(unsigned, T value, int mask, int = 32)
{
    static T values[1024];
    values[threadIdx.x] = value;
    __syncthreads();
    const T other = values[threadIdx.x ^ mask];
    __syncthreads();
    return other;
}
