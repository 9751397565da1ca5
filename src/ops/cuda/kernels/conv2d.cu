// The convolution and its gradients, for every parameter. `real` is float or double, given when it is compiled.
// A thread computes an output by itself, or a block of threads a sum in a fixed order: no result depends on
// which thread is first.

struct Conv2d {
    int images, in_channels, out_channels, groups;
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    // Zeros above and to the left.
    int before_h, before_w;
};

// out (N, O, H', W'), in (N, C, H, W), weight (O, C / groups, rows, columns); bias (O) where has_bias.
extern "C" __global__ void conv2d_forward(
    real *out, const real *in, const real *weight, const real *bias, int has_bias, Conv2d c)
{
    const long long total = (long long)c.images * c.out_channels * c.out_h * c.out_w;
    const int channels = c.in_channels / c.groups;
    const int outputs = c.out_channels / c.groups;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < total;
         i += (long long)gridDim.x * blockDim.x) {
        const int x = i % c.out_w;
        const int y = i / c.out_w % c.out_h;
        const int o = i / c.out_w / c.out_h % c.out_channels;
        const int n = i / c.out_w / c.out_h / c.out_channels;
        const int first = o / outputs * channels;
        const real *w = weight + (long long)o * channels * c.kernel_h * c.kernel_w;
        real sum = has_bias ? bias[o] : (real)0;
        for (int k = 0; k < channels; k++) {
            const real *plane = in + ((long long)n * c.in_channels + first + k) * c.in_h * c.in_w;
            for (int r = 0; r < c.kernel_h; r++) {
                const int row = y * c.stride_h - c.before_h + r * c.dilation_h;
                if (row < 0 || row >= c.in_h) {
                    continue;
                }
                for (int s = 0; s < c.kernel_w; s++) {
                    const int column = x * c.stride_w - c.before_w + s * c.dilation_w;
                    if (column >= 0 && column < c.in_w) {
                        sum += w[(k * c.kernel_h + r) * c.kernel_w + s] * plane[row * c.in_w + column];
                    }
                }
            }
        }
        out[i] = sum;
    }
}

// to (N, C, H, W): what flows back to each input, from grad (N, O, H', W').
extern "C" __global__ void conv2d_input_gradient(
    real *to, const real *grad, const real *weight, Conv2d c)
{
    const long long total = (long long)c.images * c.in_channels * c.in_h * c.in_w;
    const int channels = c.in_channels / c.groups;
    const int outputs = c.out_channels / c.groups;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < total;
         i += (long long)gridDim.x * blockDim.x) {
        const int column = i % c.in_w;
        const int row = i / c.in_w % c.in_h;
        const int k = i / c.in_w / c.in_h % c.in_channels;
        const int n = i / c.in_w / c.in_h / c.in_channels;
        const int first = k / channels * outputs;
        real sum = 0;
        for (int o = first; o < first + outputs; o++) {
            const real *plane = grad + ((long long)n * c.out_channels + o) * c.out_h * c.out_w;
            const real *w = weight + ((long long)o * channels + k % channels) * c.kernel_h * c.kernel_w;
            for (int r = 0; r < c.kernel_h; r++) {
                const int down = row + c.before_h - r * c.dilation_h;
                if (down < 0 || down % c.stride_h != 0 || down / c.stride_h >= c.out_h) {
                    continue;
                }
                for (int s = 0; s < c.kernel_w; s++) {
                    const int right = column + c.before_w - s * c.dilation_w;
                    if (right >= 0 && right % c.stride_w == 0 && right / c.stride_w < c.out_w) {
                        sum += w[r * c.kernel_w + s] * plane[down / c.stride_h * c.out_w + right / c.stride_w];
                    }
                }
            }
        }
        to[i] = sum;
    }
}

// to (O, C / groups, rows, columns): a block for each weight, of 256 threads.
extern "C" __global__ void conv2d_weight_gradient(
    real *to, const real *in, const real *grad, Conv2d c)
{
    const int channels = c.in_channels / c.groups;
    const int outputs = c.out_channels / c.groups;
    const int s = blockIdx.x % c.kernel_w;
    const int r = blockIdx.x / c.kernel_w % c.kernel_h;
    const int k = blockIdx.x / c.kernel_w / c.kernel_h % channels;
    const int o = blockIdx.x / c.kernel_w / c.kernel_h / channels;
    const int from = o / outputs * channels + k;
    const int pixels = c.out_h * c.out_w;
    const long long terms = (long long)c.images * pixels;
    real sum = 0;
    for (long long i = threadIdx.x; i < terms; i += blockDim.x) {
        const int x = i % c.out_w;
        const int y = i / c.out_w % c.out_h;
        const int n = i / pixels;
        const int row = y * c.stride_h - c.before_h + r * c.dilation_h;
        const int column = x * c.stride_w - c.before_w + s * c.dilation_w;
        if (row >= 0 && row < c.in_h && column >= 0 && column < c.in_w) {
            sum += grad[((long long)n * c.out_channels + o) * pixels + y * c.out_w + x]
                * in[(((long long)n * c.in_channels + from) * c.in_h + row) * c.in_w + column];
        }
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) {
        to[blockIdx.x] = sum;
    }
}

// to (O): a block for each channel.
extern "C" __global__ void conv2d_bias_gradient(real *to, const real *grad, Conv2d c)
{
    const int pixels = c.out_h * c.out_w;
    const long long terms = (long long)c.images * pixels;
    real sum = 0;
    for (long long i = threadIdx.x; i < terms; i += blockDim.x) {
        sum += grad[(i / pixels * c.out_channels + blockIdx.x) * pixels + i % pixels];
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) {
        to[blockIdx.x] = sum;
    }
}
