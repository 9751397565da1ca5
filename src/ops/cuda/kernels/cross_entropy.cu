// The cross-entropy and its gradients. A thread has a target.

#define FOR_EACH_TARGET(i, c) \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < c.targets; \
         i += (long long)gridDim.x * blockDim.x)

// losses (targets).
extern "C" __global__ void cross_entropy_losses(real *losses, const real *logits,
    const long long *indices, const real *truth, const double *weight, CrossEntropy c)
{
    FOR_EACH_TARGET(i, c) {
        losses[i] = loss_of(logits, start_of(i, c), i, indices, truth, weight, c);
    }
}

// divisor (1): what the mean divides the sum by. One block.
extern "C" __global__ void cross_entropy_divisor(
    double *divisor, const long long *indices, const double *weight, CrossEntropy c)
{
    double own = 0;
    for (long long i = threadIdx.x; i < c.targets && c.has_indices; i += blockDim.x) {
        own += indices[i] == c.ignore_index ? 0.0 : weight_of(indices[i], weight, c);
    }
    const double sum = sum_of_block(own);
    if (threadIdx.x == 0) {
        divisor[0] = c.reduction != 1 ? 1.0 : c.has_indices ? sum : (double)c.targets;
    }
}

// loss (1), from the targets' losses. One block.
extern "C" __global__ void cross_entropy_reduce(
    real *loss, const real *losses, const double *divisor, CrossEntropy c)
{
    real own = 0;
    for (long long i = threadIdx.x; i < c.targets; i += blockDim.x) {
        own += losses[i];
    }
    const real sum = sum_of_block(own);
    if (threadIdx.x == 0) {
        loss[0] = sum / (real)divisor[0];
    }
}

// What flows into the loss of a target.
static __device__ double incoming(long long target, const real *grad, const double *divisor, CrossEntropy c)
{
    return c.reduction == 0 ? (double)grad[target] : (double)grad[0] * (1.0 / divisor[0]);
}

// to: as the logits.
extern "C" __global__ void cross_entropy_logits_gradient(real *to, const real *logits,
    const long long *indices, const real *truth, const double *weight, const real *grad,
    const double *divisor, CrossEntropy c)
{
    FOR_EACH_TARGET(i, c) {
        const double flow = incoming(i, grad, divisor, c);
        logits_gradient_of(to, logits, flow, start_of(i, c), i, indices, truth, weight, c);
    }
}

// to: as the probabilities.
extern "C" __global__ void cross_entropy_targets_gradient(real *to, const real *logits,
    const double *weight, const real *grad, const double *divisor, CrossEntropy c)
{
    FOR_EACH_TARGET(i, c) {
        const long long start = start_of(i, c);
        const real *own = logits + start;
        const double scale = incoming(i, grad, divisor, c) * (1.0 - c.smoothing);
        const real largest = largest_of(own, c);
        const real log_sum = log_sum_of(own, largest, c);
        for (long long k = 0; k < c.classes; k++) {
            to[start + k * c.inner] =
                -scale * weight_of(k, weight, c) * (double)(own[k * c.inner] - largest - log_sum);
        }
    }
}
