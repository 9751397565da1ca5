// Max pooling and its gradient, for every parameter. `real` is float or double, given when it is compiled.

struct MaxPool2d {
    // Images times channels.
    int planes;
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
};

// The index of a window that lies in the padding alone.
static const unsigned no_pixel = 4294967295u;

// The maxima, and where they were: row · W + column.
extern "C" __global__ void max_pool2d_forward(real *out, unsigned *indices, const real *in, MaxPool2d p)
{
    const long long total = (long long)p.planes * p.out_h * p.out_w;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < total;
         i += (long long)gridDim.x * blockDim.x) {
        const int x = i % p.out_w;
        const int y = i / p.out_w % p.out_h;
        const real *plane = in + i / p.out_w / p.out_h * p.in_h * p.in_w;
        real best = 0;
        unsigned place = no_pixel;
        for (int r = 0; r < p.kernel_h; r++) {
            const int row = y * p.stride_h - p.padding_h + r * p.dilation_h;
            if (row < 0 || row >= p.in_h) {
                continue;
            }
            for (int s = 0; s < p.kernel_w; s++) {
                const int column = x * p.stride_w - p.padding_w + s * p.dilation_w;
                if (column < 0 || column >= p.in_w) {
                    continue;
                }
                const unsigned at = (unsigned)row * p.in_w + column;
                const real value = plane[at];
                // The last NaN, as on the CPU; a window of -∞ alone points to its first pixel.
                if (place == no_pixel || value > best || value != value) {
                    best = value;
                    place = at;
                }
            }
        }
        out[i] = place == no_pixel ? -(real)INFINITY : best;
        indices[i] = place;
    }
}

// What flows back to each pixel: from the windows whose maximum it was, in their order.
extern "C" __global__ void max_pool2d_gradient(
    real *to, const real *grad, const unsigned *indices, MaxPool2d p)
{
    const long long total = (long long)p.planes * p.in_h * p.in_w;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < total;
         i += (long long)gridDim.x * blockDim.x) {
        const int column = i % p.in_w;
        const int row = i / p.in_w % p.in_h;
        const long long plane = i / p.in_w / p.in_h * p.out_h * p.out_w;
        const unsigned own = (unsigned)row * p.in_w + column;
        real sum = 0;
        for (int r = p.kernel_h - 1; r >= 0; r--) {
            const int down = row + p.padding_h - r * p.dilation_h;
            if (down < 0 || down % p.stride_h != 0 || down / p.stride_h >= p.out_h) {
                continue;
            }
            for (int s = p.kernel_w - 1; s >= 0; s--) {
                const int right = column + p.padding_w - s * p.dilation_w;
                if (right < 0 || right % p.stride_w != 0 || right / p.stride_w >= p.out_w) {
                    continue;
                }
                const long long at = plane + down / p.stride_h * p.out_w + right / p.stride_w;
                if (indices[at] == own) {
                    sum += grad[at];
                }
            }
        }
        to[i] = sum;
    }
}
