// The optimizers' steps, each in one pass over a parameter p, its gradient g and what the optimizer remembers.

#define OPTIMIZER(name) \
    extern "C" __global__ void name(real *p, const real *g, real *a, real *b, real *c, long long n, Step s) \
    { \
        for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; \
             i += (long long)gridDim.x * blockDim.x) { \
            name##_rule(p[i], g[i], a + i, b + i, c + i, s); \
        } \
    }

OPTIMIZER(sgd)
OPTIMIZER(adam)
OPTIMIZER(rms_prop)
OPTIMIZER(adagrad)
