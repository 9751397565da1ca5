// The optimizers' steps for a number p of a parameter, its gradient g and what the optimizer remembers of it. They round
// where src/ops/sgd.rs and its neighbours do. Each states the order of its numbers and flags. A buffer that a step does
// not use may be absent.

struct Step {
    double numbers[8];
    long long flags[4];
};

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
static __device__ void sgd_rule(real &p, real g, real *a, real *, real *, const Step &s)
{
    const real momentum = s.numbers[1], share = 1 - s.numbers[2];
    real d = wanted(p, g, s.numbers[3], s.flags[0]);
    if (momentum != 0) {
        *a = s.flags[2] ? d : fused(share, d, *a * momentum);
        d = s.flags[1] ? fused(momentum, *a, d) : *a;
    }
    p = fused((real)-s.numbers[0], d, p);
}

// The rate, the second moment's correction, what decay leaves of p, beta1, beta2, eps, weight_decay (of the gradient);
// maximize, amsgrad. a, b, c: both moments and the largest second one.
static __device__ void adam_rule(real &p, real g, real *a, real *b, real *c, const Step &s)
{
    const real down = -s.numbers[0], root = s.numbers[1], keep = s.numbers[2], eps = s.numbers[5];
    const real keep_square = s.numbers[4], share = 1 - s.numbers[4];
    const real d = wanted(p, g, s.numbers[6], s.flags[0]);
    *a = lerp_at(1 - s.numbers[3], *a, d);
    *b = fused(share * d, d, *b * keep_square);
    real second = *b;
    if (s.flags[1]) {
        // NaN stays, as in torch.maximum.
        *c = *c >= second || *c != *c ? *c : second;
        second = *c;
    }
    p = p * keep + down * *a / (sqrt(second) / root + eps);
}

// lr, alpha, eps, weight_decay, momentum; maximize, centered. a, b, c: mean square, direction, mean.
static __device__ void rms_prop_rule(real &p, real g, real *a, real *b, real *c, const Step &s)
{
    const real down = -s.numbers[0], keep_square = s.numbers[1], share = 1 - s.numbers[1];
    const real eps = s.numbers[2], momentum = s.numbers[4];
    const real d = wanted(p, g, s.numbers[3], s.flags[0]);
    if (s.flags[1]) {
        *c = lerp_at(1 - s.numbers[1], *c, d);
    }
    *a = fused(share * d, d, *a * keep_square);
    const real spread = s.flags[1] ? fused(-*c, *c, *a) : *a;
    if (momentum > 0) {
        *b = *b * momentum + d / (sqrt(spread) + eps);
        p = fused(down, *b, p);
    } else {
        p += down * d / (sqrt(spread) + eps);
    }
}

// The rate, eps, weight_decay; maximize. a: the sum of the squares.
static __device__ void adagrad_rule(real &p, real g, real *a, real *, real *, const Step &s)
{
    const real down = -s.numbers[0], eps = s.numbers[1];
    const real d = wanted(p, g, s.numbers[2], s.flags[0]);
    *a = fused(d, d, *a);
    p += down * d / (sqrt(*a) + eps);
}
