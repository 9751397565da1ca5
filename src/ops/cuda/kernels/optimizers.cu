// The optimizers' steps, each in one pass over a parameter p, its gradient g and what the optimizer remembers. They
// round where src/ops/sgd.rs and its neighbours do. Each states the order of its numbers and flags.

struct Step {
    double numbers[8];
    long long flags[4];
};

#define FOR_EACH(i, n) \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; \
         i += (long long)gridDim.x * blockDim.x)

// torch.lerp, which reckons from the nearer end.
static __device__ real lerp_at(double weight, real from, real to)
{
    return fabs(weight) < 0.5 ? fused((real)weight, to - from, from)
                              : fused((real)weight - (real)1, to - from, to);
}

// The gradient to descend along.
static __device__ real wanted(real p, real g, double weight_decay, int maximize)
{
    g = maximize ? -g : g;
    return weight_decay != 0 ? fused((real)weight_decay, p, g) : g;
}

// lr, momentum, dampening, weight_decay; maximize, nesterov, first. a: the direction.
extern "C" __global__ void sgd(real *p, const real *g, real *a, real *, real *, long long n, Step s)
{
    const real down = -s.numbers[0], momentum = s.numbers[1], share = 1 - s.numbers[2];
    FOR_EACH(i, n) {
        real d = wanted(p[i], g[i], s.numbers[3], s.flags[0]);
        if (momentum != 0) {
            a[i] = s.flags[2] ? d : fused(share, d, a[i] * momentum);
            d = s.flags[1] ? fused(momentum, a[i], d) : a[i];
        }
        p[i] = fused(down, d, p[i]);
    }
}

// The rate, the second moment's correction, what decay leaves of p, beta1, beta2, eps, weight_decay (of the gradient);
// maximize, amsgrad. a, b, c: both moments and the largest second one.
extern "C" __global__ void adam(real *p, const real *g, real *a, real *b, real *c, long long n, Step s)
{
    const real down = -s.numbers[0], root = s.numbers[1], keep = s.numbers[2], eps = s.numbers[5];
    const real keep_square = s.numbers[4], share = 1 - s.numbers[4];
    FOR_EACH(i, n) {
        const real d = wanted(p[i], g[i], s.numbers[6], s.flags[0]);
        a[i] = lerp_at(1 - s.numbers[3], a[i], d);
        b[i] = fused(share * d, d, b[i] * keep_square);
        real second = b[i];
        if (s.flags[1]) {
            // NaN stays, as in torch.maximum.
            c[i] = c[i] >= second || c[i] != c[i] ? c[i] : second;
            second = c[i];
        }
        p[i] = p[i] * keep + down * a[i] / (sqrt(second) / root + eps);
    }
}

// lr, alpha, eps, weight_decay, momentum; maximize, centered. a, b, c: mean square, direction, mean.
extern "C" __global__ void rms_prop(real *p, const real *g, real *a, real *b, real *c, long long n, Step s)
{
    const real down = -s.numbers[0], keep_square = s.numbers[1], share = 1 - s.numbers[1];
    const real eps = s.numbers[2], momentum = s.numbers[4];
    FOR_EACH(i, n) {
        const real d = wanted(p[i], g[i], s.numbers[3], s.flags[0]);
        if (s.flags[1]) {
            c[i] = lerp_at(1 - s.numbers[1], c[i], d);
        }
        a[i] = fused(share * d, d, a[i] * keep_square);
        const real spread = s.flags[1] ? fused(-c[i], c[i], a[i]) : a[i];
        if (momentum > 0) {
            b[i] = b[i] * momentum + d / (sqrt(spread) + eps);
            p[i] = fused(down, b[i], p[i]);
        } else {
            p[i] += down * d / (sqrt(spread) + eps);
        }
    }
}

// The rate, eps, weight_decay; maximize. a: the sum of the squares.
extern "C" __global__ void adagrad(real *p, const real *g, real *a, real *, real *, long long n, Step s)
{
    const real down = -s.numbers[0], eps = s.numbers[1];
    FOR_EACH(i, n) {
        const real d = wanted(p[i], g[i], s.numbers[2], s.flags[0]);
        a[i] = fused(d, d, a[i]);
        p[i] += down * d / (sqrt(a[i]) + eps);
    }
}
