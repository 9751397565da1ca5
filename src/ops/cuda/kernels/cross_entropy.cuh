// The cross-entropy and its gradients of one target; rounded where src/ops/cross_entropy.rs rounds.

struct CrossEntropy {
    long long classes, targets;
    // Class c of target i is at start(i) + c · inner.
    long long inner;
    long long ignore_index;
    double smoothing;
    // 0: none, 1: mean, 2: sum.
    long long reduction;
    // Whether classes have weights, and whether the truth is an index or probabilities.
    long long has_weight, has_indices;
};

static __device__ long long start_of(long long target, CrossEntropy c)
{
    return target / c.inner * c.classes * c.inner + target % c.inner;
}

static __device__ double weight_of(long long k, const double *weight, CrossEntropy c)
{
    return c.has_weight ? weight[k] : 1.0;
}

// How much -log softmax of class k counts in the loss of a target that starts at `start`.
static __device__ double share_of(long long k, long long start, long long target,
    const long long *indices, const real *truth, const double *weight, CrossEntropy c)
{
    const double spread = c.smoothing / c.classes;
    if (!c.has_indices) {
        return weight_of(k, weight, c) * ((double)truth[start + k * c.inner] * (1.0 - c.smoothing) + spread);
    }
    const double share = spread * weight_of(k, weight, c);
    return k == indices[target] ? share + (1.0 - c.smoothing) * weight_of(k, weight, c) : share;
}

// The largest logit, and the logarithm of the sum of the exponentials of what lies below it.
static __device__ real largest_of(const real *logits, CrossEntropy c)
{
    real largest = -(real)INFINITY;
    for (long long k = 0; k < c.classes; k++) {
        largest = logits[k * c.inner] > largest ? logits[k * c.inner] : largest;
    }
    return largest;
}

static __device__ real log_sum_of(const real *logits, real largest, CrossEntropy c)
{
    real sum = 0;
    for (long long k = 0; k < c.classes; k++) {
        sum += exp(logits[k * c.inner] - largest);
    }
    return log(sum);
}

// The loss of a target that starts at `start`, before the reduction.
static __device__ real loss_of(const real *logits, long long start, long long target,
    const long long *indices, const real *truth, const double *weight, CrossEntropy c)
{
    if (c.has_indices && indices[target] == c.ignore_index) {
        return 0;
    }
    const real *own = logits + start;
    const real largest = largest_of(own, c);
    const real log_sum = log_sum_of(own, largest, c);
    // Where one class alone counts, the others' logits may be -∞.
    const bool one_counts = c.has_indices && c.smoothing == 0;
    double loss = 0;
    for (long long k = 0; k < c.classes; k++) {
        const double share = share_of(k, start, target, indices, truth, weight, c);
        if (!one_counts || share != 0) {
            loss += -share * (double)(own[k * c.inner] - largest - log_sum);
        }
    }
    return loss;
}

// The gradient of a target's logits, of whose loss `flow` flows back.
static __device__ void logits_gradient_of(real *to, const real *logits, double flow, long long start,
    long long target, const long long *indices, const real *truth, const double *weight, CrossEntropy c)
{
    if (c.has_indices && indices[target] == c.ignore_index) {
        for (long long k = 0; k < c.classes; k++) {
            to[start + k * c.inner] = 0;
        }
        return;
    }
    const real *own = logits + start;
    const real largest = largest_of(own, c);
    const real log_sum = log_sum_of(own, largest, c);
    real total = 0;
    for (long long k = 0; k < c.classes; k++) {
        total += (real)(share_of(k, start, target, indices, truth, weight, c) * flow);
    }
    for (long long k = 0; k < c.classes; k++) {
        const real own_share = share_of(k, start, target, indices, truth, weight, c) * flow;
        // Rounded once: near a certain class the two all but cancel.
        to[start + k * c.inner] = fused(exp(own[k * c.inner] - largest - log_sum), total, -own_share);
    }
}
