// The convolution and its gradients, for every parameter, as products of matrices (tile.cuh), one for each group. `real` is
// float or double, given when it is compiled; so are KERNEL_H, KERNEL_W, STRIDE_H and STRIDE_W where they are known, since
// to divide by a constant takes a few instructions. PRODUCT is the one that is compiled, 1 to 3 and 0 for none, in tiles of
// TILE_M × TILE_N: NVRTC and the driver take half a second for each. Where it is not given, all are.

struct Conv2d {
    int images, in_channels, out_channels, groups;
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    // Zeros above and to the left.
    int before_h, before_w;
    // How the product is cut.
    int tiles_m, tiles_n, splits;
};

#ifndef KERNEL_H
#define KERNEL_H c.kernel_h
#define KERNEL_W c.kernel_w
#define STRIDE_H c.stride_h
#define STRIDE_W c.stride_w
#endif

// What a block computes: a tile of a group, of a part of the depth.
struct Part {
    int m, n, group, split;
};

static __device__ Part part_of(const Conv2d &c)
{
    const int tile = blockIdx.x % (c.tiles_m * c.tiles_n), rest = blockIdx.x / (c.tiles_m * c.tiles_n);
    return {tile % c.tiles_m, tile / c.tiles_m, rest % c.groups, rest / c.groups};
}

// A pixel or a tap: how far along it is, and its row and column.
struct At {
    int offset, y, x;
};

// The pixels of the output, and under each the taps of a filter in the input.
template <bool ALONG_K> struct PatchesOf {
    typedef At Row;
    static constexpr bool along_k = ALONG_K;
    const Conv2d &c;
    const real *in;

    __device__ At pixel(int i) const
    {
        const int x = i % c.out_w, y = i / c.out_w % c.out_h, n = i / c.out_w / c.out_h;
        // One that there is not is anywhere.
        return {n < c.images ? n * c.in_channels * c.in_h * c.in_w : 0, y * STRIDE_H - c.before_h,
            x * STRIDE_W - c.before_w};
    }

    __device__ At tap(int k) const
    {
        const int s = k % KERNEL_W, r = k / KERNEL_W % KERNEL_H, channel = k / KERNEL_W / KERNEL_H;
        const bool there = channel < c.in_channels / c.groups;
        return {there ? channel * c.in_h * c.in_w : 0, r * c.dilation_h, s * c.dilation_w};
    }

    __device__ real value(const At &pixel, const At &tap) const
    {
        const int y = pixel.y + tap.y, x = pixel.x + tap.x;
        const bool inside = y >= 0 && y < c.in_h && x >= 0 && x < c.in_w;
        return inside ? in[pixel.offset + tap.offset + y * c.in_w + x] : (real)0;
    }
};

struct ForwardPatches : PatchesOf<false> {
    __device__ At row(int m) const { return pixel(m); }
    __device__ At column(int k) const { return tap(k); }
    __device__ real at(const At &row, const At &column) const { return value(row, column); }
};

// A group's filters: (outputs, depth).
struct Filters {
    typedef int Row;
    static constexpr bool along_k = true;
    const real *weight;
    int outputs, depth;

    __device__ int row(int o) const { return o < outputs ? o * depth : 0; }
    __device__ int column(int k) const { return k; }
    __device__ real at(int row, int column) const { return weight[row + column]; }
};

// To (N, channels, H, W), from a group's first channel on: rows are pixels, columns channels.
struct ToImages {
    real *to;
    const real *bias;
    int images, channels, pixels, columns;

    struct Spot {
        int at[4];
    };

    __device__ Spot spot(int m) const
    {
        Spot spot;
        for (int i = 0; i < 4; i++) {
            const int n = (m + i) / pixels;
            spot.at[i] = n < images ? n * channels * pixels + (m + i) % pixels : -1;
        }
        return spot;
    }

    __device__ int column(int n) const { return n * pixels; }

    __device__ void put(const Spot &spot, int column, int n, const real (&values)[4]) const
    {
        if (n >= columns) {
            return;
        }
        const real own = bias ? bias[n] : (real)0;
        for (int i = 0; i < 4; i++) {
            if (spot.at[i] >= 0) {
                to[spot.at[i] + column] = values[i] + own;
            }
        }
    }
};

// out (N, O, H', W'), in (N, C, H, W), weight (O, C / groups, rows, columns); bias (O) or null.
template <class T>
static __device__ void forward_of(real *out, const real *in, const real *weight, const real *bias, const Conv2d &c)
{
    const Part part = part_of(c);
    const int channels = c.in_channels / c.groups, outputs = c.out_channels / c.groups;
    const int depth = channels * KERNEL_H * KERNEL_W, pixels = c.out_h * c.out_w;
    const ForwardPatches patches = {{c, in + part.group * channels * c.in_h * c.in_w}};
    const Filters filters = {weight + part.group * outputs * depth, outputs, depth};
    const ToImages to = {out + part.group * outputs * pixels, bias ? bias + part.group * outputs : 0, c.images,
        c.out_channels, pixels, outputs};
    product<T>(patches, filters, to, part.m * T::m, part.n * T::n, 0, depth);
}

// The pixels of the input, and for each tap of each output the gradient that it had a part in.
struct GradientPatches {
    typedef At Row;
    static constexpr bool along_k = false;
    const Conv2d &c;
    const real *grad;

    __device__ At row(int m) const
    {
        const int x = m % c.in_w, y = m / c.in_w % c.in_h, n = m / c.in_w / c.in_h;
        return {n < c.images ? n * c.out_channels * c.out_h * c.out_w : 0, y + c.before_h, x + c.before_w};
    }

    __device__ At column(int k) const
    {
        const int s = k % KERNEL_W, r = k / KERNEL_W % KERNEL_H, o = k / KERNEL_W / KERNEL_H;
        return {o * c.out_h * c.out_w, r * c.dilation_h, s * c.dilation_w};
    }

    __device__ real at(const At &row, const At &column) const
    {
        int y = row.y - column.y, x = row.x - column.x;
        bool there = y >= 0 && x >= 0;
        if (STRIDE_H > 1 || STRIDE_W > 1) {
            there = there && y % STRIDE_H == 0 && x % STRIDE_W == 0;
            y /= STRIDE_H;
            x /= STRIDE_W;
        }
        there = there && y < c.out_h && x < c.out_w;
        return there ? grad[row.offset + column.offset + y * c.out_w + x] : (real)0;
    }
};

// A group's filters: of each channel, for each tap of each output.
struct FiltersOfChannels {
    typedef int Row;
    static constexpr bool along_k = true;
    const Conv2d &c;
    const real *weight;
    int channels;

    __device__ int row(int channel) const { return channel < channels ? channel * KERNEL_H * KERNEL_W : 0; }

    __device__ int column(int k) const
    {
        const int area = KERNEL_H * KERNEL_W;
        return k / area * channels * area + k % area;
    }

    __device__ real at(int row, int column) const { return weight[row + column]; }
};

// to (N, C, H, W): what flows back to each input, from grad (N, O, H', W').
template <class T>
static __device__ void input_gradient_of(real *to, const real *grad, const real *weight, const Conv2d &c)
{
    const Part part = part_of(c);
    const int channels = c.in_channels / c.groups, outputs = c.out_channels / c.groups;
    const int area = KERNEL_H * KERNEL_W, pixels = c.in_h * c.in_w;
    const GradientPatches patches = {c, grad + part.group * outputs * c.out_h * c.out_w};
    const FiltersOfChannels filters = {c, weight + part.group * outputs * channels * area, channels};
    const ToImages images = {to + part.group * channels * pixels, 0, c.images, c.in_channels, pixels, channels};
    product<T>(patches, filters, images, part.m * T::m, part.n * T::n, 0, outputs * area);
}

// A group's gradients: of each output its pixels, image by image.
struct GradientsOfOutputs {
    typedef int Row;
    static constexpr bool along_k = true;
    const Conv2d &c;
    const real *grad;
    int outputs;

    __device__ int row(int o) const { return o < outputs ? o * c.out_h * c.out_w : 0; }

    __device__ int column(int k) const
    {
        const int pixels = c.out_h * c.out_w;
        return k / pixels * c.out_channels * pixels + k % pixels;
    }

    __device__ real at(int row, int column) const { return grad[row + column]; }
};

// As above, its pixels along the depth.
struct WeightPatches : PatchesOf<true> {
    __device__ At row(int n) const { return tap(n); }
    __device__ At column(int k) const { return pixel(k); }
    __device__ real at(const At &row, const At &column) const { return value(column, row); }
};

// To (rows, columns).
struct ToMatrix {
    real *to;
    int rows, columns;

    __device__ int spot(int m) const { return m; }
    __device__ int column(int n) const { return n; }

    __device__ void put(int m, int, int n, const real (&values)[4]) const
    {
        for (int i = 0; i < 4; i++) {
            if (m + i < rows && n < columns) {
                to[(m + i) * columns + n] = values[i];
            }
        }
    }
};

// parts (splits, O, C / groups, rows, columns): sums over a part of all images' pixels.
template <class T>
static __device__ void weight_gradient_of(real *parts, const real *in, const real *grad, const Conv2d &c)
{
    const Part part = part_of(c);
    const int channels = c.in_channels / c.groups, outputs = c.out_channels / c.groups;
    const int depth = channels * KERNEL_H * KERNEL_W, pixels = c.out_h * c.out_w;
    const GradientsOfOutputs grads = {c, grad + part.group * outputs * pixels, outputs};
    const WeightPatches patches = {{c, in + part.group * channels * c.in_h * c.in_w}};
    const ToMatrix to = {parts + (part.split * c.groups + part.group) * outputs * depth, outputs, depth};
    const int all = c.images * pixels, strips = (all + T::k - 1) / T::k;
    const int from = (int)((long long)strips * part.split / c.splits) * T::k;
    const int end = (int)((long long)strips * (part.split + 1) / c.splits) * T::k;
    product<T>(grads, patches, to, part.m * T::m, part.n * T::n, from, end < all ? end : all);
}

// Of doubles half the depth lies in shared memory, which has 48 KB.
template <int M, int N> using Own = Tile<float32, M, N, sizeof(real) == 8 ? 8 : 16>;

#define NAMED(name, m, n) conv2d_##name##_##m##x##n
// Where a thread has 64 sums, two blocks are what a multiprocessor's registers suffice for.
#define KERNEL(m, n) extern "C" __global__ void __launch_bounds__(128, m * n / 128 >= 64 ? 2 : 3)

#define FORWARD(m, n) \
    KERNEL(m, n) NAMED(forward, m, n)(real *out, const real *in, const real *weight, const real *bias, Conv2d c) \
    { \
        forward_of<Own<m, n>>(out, in, weight, bias, c); \
    }
#define INPUT_GRADIENT(m, n) \
    KERNEL(m, n) NAMED(input_gradient, m, n)(real *to, const real *grad, const real *weight, Conv2d c) \
    { \
        input_gradient_of<Own<m, n>>(to, grad, weight, c); \
    }
#define WEIGHT_GRADIENT(m, n) \
    KERNEL(m, n) NAMED(weight_gradient, m, n)(real *parts, const real *in, const real *grad, Conv2d c) \
    { \
        weight_gradient_of<Own<m, n>>(parts, in, grad, c); \
    }

#ifndef PRODUCT
FORWARD(128, 64)
FORWARD(64, 32)
INPUT_GRADIENT(128, 64)
INPUT_GRADIENT(64, 32)
WEIGHT_GRADIENT(128, 64)
WEIGHT_GRADIENT(64, 32)
#elif PRODUCT == 1
FORWARD(TILE_M, TILE_N)
#elif PRODUCT == 2
INPUT_GRADIENT(TILE_M, TILE_N)
#elif PRODUCT == 3
WEIGHT_GRADIENT(TILE_M, TILE_N)
#endif

// to (n): the sums of the parts. A thread for each.
extern "C" __global__ void conv2d_sum(real *to, const real *parts, int n, int splits)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    real sum = 0;
    for (int split = 0; split < splits && i < n; split++) {
        sum += parts[(long long)split * n + i];
    }
    if (i < n) {
        to[i] = sum;
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
