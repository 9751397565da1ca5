// The layers of a captured step. A fully connected layer is a convolution of images of one pixel. Every image lies in a
// border of zeros as wide as the next layer's padding, so that no convolution asks where the image ends.

struct Product {
    // The images, where in one each tap of a filter is, and the filters: weight[weight_taps[k] + n · weight_stride].
    const real *in;
    const int *taps;
    const real *weight;
    const int *weight_taps;
    // Images, and how far they lie apart; rows and columns of pixels that are computed, and how far they lie apart.
    long long images, image, rows, columns, row, column;
    // Taps, and channels that are computed.
    long long depth, outputs, weight_stride;
    // How it is cut.
    long long splits, tiles_m, tiles_n;
};

// Row m is a pixel, column k a tap. With POOL four rows are the pixels of a window of 2 × 2; rows and columns are
// the windows'.
template <bool POOL, bool ALONG_K> struct Patches {
    typedef int Row;
    static constexpr bool along_k = ALONG_K;
    const Product &p;

    __device__ int row(int m) const
    {
        const int columns = p.columns, window = POOL ? m / 4 : m;
        int x = window % columns, y = window / columns % (int)p.rows;
        const int n = window / columns / (int)p.rows;
        if (POOL) {
            x = 2 * x + m % 2;
            y = 2 * y + m / 2 % 2;
        }
        return n < (int)p.images ? n * (int)p.image + y * (int)p.row + x * (int)p.column : 0;
    }

    __device__ int column(int k) const { return p.taps[k]; }
    __device__ real at(int row, int column) const { return p.in[row + column]; }
};

template <bool ALONG_K> struct Weights {
    typedef int Row;
    static constexpr bool along_k = ALONG_K;
    const Product &p;

    __device__ int row(int n) const { return n < (int)p.outputs ? n * (int)p.weight_stride : 0; }
    __device__ int column(int k) const { return p.weight_taps[k]; }
    __device__ real at(int row, int column) const { return p.weight[row + column]; }
};

// This block's tile of the product.
template <class T, bool POOL, bool A_ALONG_K, bool B_ALONG_K, class Out>
static __device__ void tile_of(const Product &p, Out &out)
{
    int block = blockIdx.x;
    const int m = block % (int)p.tiles_m;
    block /= (int)p.tiles_m;
    const int n = block % (int)p.tiles_n;
    const int split = block / (int)p.tiles_n;
    // Whole strips, so that sums begin where a strip does.
    const int strips = ((int)p.depth + T::k - 1) / T::k;
    const int from = strips * split / (int)p.splits * T::k;
    const int to = strips * (split + 1) / (int)p.splits * T::k;
    out.split = split;
    const Patches<POOL, A_ALONG_K> a = {p};
    const Weights<B_ALONG_K> b = {p};
    product<T>(a, b, out, m * T::m, n * T::n, from, to < (int)p.depth ? to : (int)p.depth);
}

struct Forward {
    Product product;
    // Null where there is none.
    const real *bias;
    // The first pixel of the images that the next layer takes, and how far images, channels and rows lie apart.
    real *out;
    long long out_image, out_channel, out_row;
    // Which pixel of its window (N, O, H, W) was the largest, and 4 where the rectifier lets nothing through. Null where
    // all of it flows back, or nothing.
    unsigned char *which;
    long long relu;
    // (splits, M, O): sums of a part of the depth, where there is more than one.
    real *partials;
};

static __device__ real rectified(real value, long long relu)
{
    // As in PyTorch, NaN stays.
    return relu && value <= 0 ? (real)0 : value;
}

template <bool POOL> struct ForwardOut {
    const Forward &p;
    int split;

    struct Spot {
        int m, out[4], which[4];
    };

    __device__ Spot spot(int m) const
    {
        const Product &product = p.product;
        const int columns = product.columns, rows = product.rows;
        Spot spot = {m, {}, {}};
#pragma unroll
        for (int i = 0; i < (POOL ? 1 : 4); i++) {
            const int pixel = POOL ? m / 4 : m + i;
            const int x = pixel % columns, y = pixel / columns % rows, n = pixel / columns / rows;
            const bool there = n < (int)product.images;
            spot.out[i] = there ? n * (int)p.out_image + y * (int)p.out_row + x : -1;
            spot.which[i] = (n * (int)product.outputs * rows + y) * columns + x;
        }
        return spot;
    }

    __device__ int column(int n) const { return n * (int)p.out_channel; }

    __device__ void put(const Spot &spot, int column, int n, const real (&values)[4]) const
    {
        const Product &product = p.product;
        const int pixels = product.columns * product.rows;
        if (n >= (int)product.outputs) {
            return;
        }
        if (!POOL && product.splits > 1) {
            const long long all = product.images * pixels;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (spot.out[i] >= 0) {
                    p.partials[(split * all + spot.m + i) * product.outputs + n] = values[i];
                }
            }
            return;
        }
        const real bias = p.bias ? p.bias[n] : (real)0;
        if (POOL) {
            if (spot.out[0] >= 0) {
                real best = values[0] + bias;
                int place = 0;
#pragma unroll
                for (int i = 1; i < 4; i++) {
                    const real value = values[i] + bias;
                    if (value > best || value != value) {
                        best = value;
                        place = i;
                    }
                }
                p.out[spot.out[0] + column] = rectified(best, p.relu);
                if (p.which) {
                    p.which[spot.which[0] + n * pixels] = p.relu && best <= 0 ? 4 : place;
                }
            }
            return;
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (spot.out[i] >= 0) {
                const real value = values[i] + bias;
                p.out[spot.out[i] + column] = rectified(value, p.relu);
                if (p.which) {
                    p.which[spot.which[i] + n * pixels] = value <= 0 ? 4 : 0;
                }
            }
        }
    }
};

template <class T, bool POOL, bool LINEAR> static __device__ void forward(const Forward &p)
{
    ForwardOut<POOL> out = {p, 0};
    tile_of<T, POOL, LINEAR, true>(p.product, out);
}

// What is left of a fully connected layer whose depth was split. A thread has an output.
static __device__ void forward_sum(const Forward &p)
{
    const Product &product = p.product;
    const long long all = product.images * product.outputs;
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= all) {
        return;
    }
    real value = 0;
    for (int split = 0; split < product.splits; split++) {
        value += p.partials[split * all + i];
    }
    const long long n = i % product.outputs, image = i / product.outputs;
    value += p.bias ? p.bias[n] : (real)0;
    p.out[image * p.out_image + n * p.out_channel] = rectified(value, p.relu);
    if (p.which) {
        p.which[i] = value <= 0 ? 4 : 0;
    }
}

// What flows back into the layer before: through its rectifier and its pooling, to where the convolution wrote.
struct InputGradient {
    Product product;
    // The first pixel of that gradient, and how far images, channels, and outputs' rows and columns lie apart.
    real *grad;
    long long grad_image, grad_channel, grad_row, grad_column;
    // Of a window's pixels.
    long long below, beside;
    // As in Forward, of the layer before; how far its images and, in the product, its columns lie apart.
    const unsigned char *which;
    long long which_image, which_column;
    // Rows and columns that a column of the product stands for: 1 and 1, or a flattened image's.
    long long height, width;
};

template <bool POOL> struct InputGradientOut {
    const InputGradient &p;
    int split;

    struct Spot {
        int grad[4], which[4];
    };
    struct Column {
        int grad, which;
    };

    __device__ Spot spot(int m) const
    {
        const Product &product = p.product;
        const int columns = product.columns, rows = product.rows;
        Spot spot;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int x = (m + i) % columns, y = (m + i) / columns % rows, n = (m + i) / columns / rows;
            const bool there = n < (int)product.images;
            spot.grad[i] = there ? n * (int)p.grad_image + y * (int)p.grad_row + x * (int)p.grad_column : -1;
            spot.which[i] = n * (int)p.which_image + y * columns + x;
        }
        return spot;
    }

    __device__ Column column(int n) const
    {
        const int width = p.width, height = p.height;
        const int x = n % width, y = n / width % height, c = n / width / height;
        return {c * (int)p.grad_channel + y * (int)p.grad_row + x * (int)p.grad_column, n * (int)p.which_column};
    }

    __device__ void put(const Spot &spot, const Column &column, int n, const real (&values)[4]) const
    {
        if (n >= (int)p.product.outputs) {
            return;
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (spot.grad[i] < 0) {
                continue;
            }
            const int which = p.which ? p.which[spot.which[i] + column.which] : 0;
            real *to = p.grad + spot.grad[i] + column.grad;
            to[0] = which == 0 ? values[i] : (real)0;
            if (POOL) {
                to[p.beside] = which == 1 ? values[i] : (real)0;
                to[p.below] = which == 2 ? values[i] : (real)0;
                to[p.below + p.beside] = which == 3 ? values[i] : (real)0;
            }
        }
    }
};

// POOL: whether the layer before pools.
template <class T, bool POOL, bool LINEAR> static __device__ void input_gradient(const InputGradient &p)
{
    InputGradientOut<POOL> out = {p, 0};
    tile_of<T, false, LINEAR, !LINEAR>(p.product, out);
}

// The gradients of weight and bias, the latter as that of one more tap, on an input of ones.
struct WeightGradient {
    const real *grad;
    const real *in;
    // Where the pixels are in both, and the taps in the input.
    const int *grad_pixels;
    const int *in_pixels;
    const int *taps;
    long long grad_image, grad_channel, in_image;
    long long images, pixels, outputs, depth;
    // (splits, outputs, depth + 1): sums over a part of all images' pixels.
    real *to;
    long long splits, tiles_m, tiles_n;
};

// Of a fully connected layer images have one pixel, and neighbouring threads take neighbouring channels.
template <bool LINEAR> struct Gradients {
    typedef int Row;
    static constexpr bool along_k = !LINEAR;
    const WeightGradient &p;

    __device__ int row(int o) const { return o < (int)p.outputs ? o * (int)p.grad_channel : 0; }

    __device__ int column(int k) const
    {
        if (LINEAR) {
            return k * (int)p.grad_image;
        }
        const int n = k / (int)p.pixels;
        return n * (int)p.grad_image + p.grad_pixels[k - n * (int)p.pixels];
    }

    __device__ real at(int row, int column) const { return p.grad[row + column]; }
};

template <bool LINEAR> struct Inputs {
    typedef int Row;
    static constexpr bool along_k = !LINEAR;
    static constexpr int ones = -1;
    const WeightGradient &p;

    __device__ int row(int tap) const { return tap < (int)p.depth ? p.taps[tap] : ones; }

    __device__ int column(int k) const
    {
        if (LINEAR) {
            return k * (int)p.in_image;
        }
        const int n = k / (int)p.pixels;
        return n * (int)p.in_image + p.in_pixels[k - n * (int)p.pixels];
    }

    __device__ real at(int row, int column) const { return row == ones ? (real)1 : p.in[row + column]; }
};

struct WeightGradientOut {
    const WeightGradient &p;
    int split;

    __device__ int spot(int m) const { return m; }
    __device__ int column(int n) const { return n; }

    __device__ void put(int m, int, int n, const real (&values)[4]) const
    {
        const long long columns = p.depth + 1;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (m + i < (int)p.outputs && n < (int)columns) {
                p.to[(split * p.outputs + m + i) * columns + n] = values[i];
            }
        }
    }
};

template <class T, bool LINEAR> static __device__ void weight_gradient(const WeightGradient &p)
{
    int block = blockIdx.x;
    const int m = block % (int)p.tiles_m;
    block /= (int)p.tiles_m;
    const int n = block % (int)p.tiles_n;
    const int split = block / (int)p.tiles_n;
    const int all = p.images * p.pixels, strips = (all + T::k - 1) / T::k;
    const int from = (int)((long long)strips * split / p.splits) * T::k;
    const int to = (int)((long long)strips * (split + 1) / p.splits) * T::k;
    const Gradients<LINEAR> a = {p};
    const Inputs<LINEAR> b = {p};
    const WeightGradientOut out = {p, split};
    product<T>(a, b, out, m * T::m, n * T::n, from, to < all ? to : all);
}
