// The product of two matrices, an operand's numbers brought by its own rule. A block of 128 threads computes a tile of it,
// its sums in registers. Every sum is taken along k from front to back, so that no result depends on how the product is
// cut.

// What numbers are multiplied as, PyTorch's "highest", "high" and "medium"; they are added as float in all of them.
enum Precision { float32, tensor_float32, bfloat16 };

// Rows and columns of a tile, and how much of the depth lies in shared memory at once.
template <Precision P, int M, int N, int K> struct Tile {
    static constexpr Precision precision = P;
    static constexpr int m = M, n = N, k = K, threads = 128;
    // What a row in shared memory is longer by: so that it begins on 16 bytes, and threads that read or write a column
    // do so in different banks.
    static constexpr int gap = P == tensor_float32 ? 8 : 4;
};

struct __align__(16) Four {
    real v[4];
};

// The nearest number that a tensor core takes.
template <Precision P> static __device__ real rounded(real x)
{
    return P == tensor_float32 ? to_tensor_float32(x) : P == bfloat16 ? to_bfloat16(x) : x;
}

// The threads' sums of a tile: step(left, right) adds the products of a strip; finish(out, m0, n0) hands four rows at a
// time to `out`.
template <class T, bool = T::precision == float32> struct Sums;

// By multiplication and addition: a thread has TM × TN sums, in groups of four rows and columns.
template <class T> struct Sums<T, true> {
    static constexpr int per_thread = T::m * T::n / T::threads;
    static constexpr int tm = per_thread >= 32 ? 8 : 4, tn = per_thread / tm;
    static constexpr int group = tn < 4 ? tn : 4;
    // How far the groups lie apart.
    static constexpr int apart_m = T::m * 4 / tm, apart_n = T::n * group / tn;

    real sums[tm][tn] = {};

    // Where in shared memory a row of the tile is.
    static __device__ int place(int row) { return row; }
    static __device__ int first_row() { return threadIdx.x / (T::n / tn) * 4; }
    static __device__ int first_column() { return threadIdx.x % (T::n / tn) * group; }

    __device__ void step(const real (*left)[T::m + T::gap], const real (*right)[T::n + T::gap])
    {
#pragma unroll
        for (int k = 0; k < T::k; k++) {
            real x[tm], y[tn];
#pragma unroll
            for (int r = 0; r < tm; r += 4) {
                *(Four *)(x + r) = *(const Four *)&left[k][r / 4 * apart_m + first_row()];
            }
#pragma unroll
            for (int c = 0; c < tn; c++) {
                y[c] = right[k][c / group * apart_n + first_column() + c % group];
            }
#pragma unroll
            for (int r = 0; r < tm; r++) {
#pragma unroll
                for (int c = 0; c < tn; c++) {
                    sums[r][c] += x[r] * y[c];
                }
            }
        }
    }

    template <class Out> __device__ void finish(const Out &out, int m0, int n0) const
    {
#pragma unroll
        for (int r = 0; r < tm; r += 4) {
            const auto spot = out.spot(m0 + r / 4 * apart_m + first_row());
#pragma unroll
            for (int c = 0; c < tn; c++) {
                const int n = n0 + c / group * apart_n + first_column() + c % group;
                const real values[4] = {sums[r][c], sums[r + 1][c], sums[r + 2][c], sums[r + 3][c]};
                out.put(spot, out.column(n), n, values);
            }
        }
    }
};

// By tensor cores: a warp has 32 rows, of which a thread has four that follow each other, and eight columns at a time.
template <class T> struct Sums<T, false> {
    static constexpr int warps_m = T::m / 32, warps_n = T::threads / 32 / warps_m;
    static constexpr int columns = T::n / warps_n, eights = columns / 8;
    // What a tensor core takes of the depth.
    static constexpr int depth = T::precision == bfloat16 ? 16 : 8;
    static_assert(columns % 8 == 0 && T::k % depth == 0, "a tile that warps do not share");

    // Of each eight columns, rows g and g + 8, then g + 16 and g + 24, of columns 2t and 2t + 1.
    real sums[2][eights][4] = {};

    // Row 4g + i is at 8i + g, so that four rows that follow each other are one thread's.
    static __device__ int place(int row) { return row / 32 * 32 + row % 4 * 8 + row / 4 % 8; }
    static __device__ int group() { return threadIdx.x % 32 / 4; }
    static __device__ int within() { return threadIdx.x % 4; }
    static __device__ int first_row() { return threadIdx.x / 32 % warps_m * 32; }
    static __device__ int first_column() { return threadIdx.x / 32 / warps_m * columns; }

    __device__ void step(const real (*left)[T::m + T::gap], const real (*right)[T::n + T::gap])
    {
        const int g = group(), t = within();
#pragma unroll
        for (int k = 0; k < T::k; k += depth) {
            // A thread's parts of the operands, as the instruction has them: number j of each is at depth at(j).
            constexpr int parts = T::precision == bfloat16 ? 4 : 2;
            auto at = [&](int j) { return T::precision == bfloat16 ? k + 2 * t + j % 2 + j / 2 * 8 : k + t + 4 * j; };
            real a[2][2][parts], b[parts];
#pragma unroll
            for (int j = 0; j < parts; j++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    a[i / 2][i % 2][j] = left[at(j)][first_row() + 8 * i + g];
                }
            }
#pragma unroll
            for (int c = 0; c < eights; c++) {
#pragma unroll
                for (int j = 0; j < parts; j++) {
                    b[j] = right[at(j)][first_column() + 8 * c + g];
                }
                multiply(sums[0][c], a[0], b);
                multiply(sums[1][c], a[1], b);
            }
        }
    }

    template <class Out> __device__ void finish(const Out &out, int m0, int n0) const
    {
        const auto spot = out.spot(m0 + first_row() + 4 * group());
#pragma unroll
        for (int c = 0; c < eights; c++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int n = n0 + first_column() + 8 * c + 2 * within() + i;
                const real values[4] = {sums[0][c][i], sums[0][c][2 + i], sums[1][c][i], sums[1][c][2 + i]};
                out.put(spot, out.column(n), n, values);
            }
        }
    }
};

// One side of the tile on its way into shared memory. `Operand` states: along_k, whether neighbouring threads take
// neighbours along k (or else along the side); row(i), where row i begins, which for one that there is not is anywhere;
// column(k), how far along number k is; at(row, column). What row and column give is of its choice.
template <class T, int side, class Operand> struct Strip {
    static constexpr int own = side * T::k / T::threads;
    static_assert(side * T::k % T::threads == 0, "threads with unequal shares");
    // Whether a thread's numbers are all at one depth.
    static constexpr bool one_depth = Operand::along_k && T::threads % T::k == 0;

    const Operand &operand;
    typename Operand::Row rows[own];
    real next[own];

    __device__ Strip(const Operand &operand, int first) : operand(operand)
    {
#pragma unroll
        for (int i = 0; i < own; i++) {
            rows[i] = operand.row(first + place(i));
        }
    }

    static __device__ int number(int i) { return threadIdx.x + i * T::threads; }
    static __device__ int place(int i) { return Operand::along_k ? number(i) / T::k : number(i) % side; }
    static __device__ int depth(int i) { return Operand::along_k ? number(i) % T::k : number(i) / side; }

    // Beyond `to` there are zeros.
    __device__ void load(int from, int to)
    {
        const bool whole = from + T::k <= to;
        if (one_depth) {
            // Beyond the end, the last one's column, which is there.
            const int k = from + depth(0);
            const bool there = whole || k < to;
            const auto column = operand.column(there ? k : to - 1);
#pragma unroll
            for (int i = 0; i < own; i++) {
                next[i] = there ? operand.at(rows[i], column) : (real)0;
            }
        } else if (whole) {
#pragma unroll
            for (int i = 0; i < own; i++) {
                next[i] = operand.at(rows[i], operand.column(from + depth(i)));
            }
        } else {
#pragma unroll
            for (int i = 0; i < own; i++) {
                const int k = from + depth(i);
                next[i] = k < to ? operand.at(rows[i], operand.column(k)) : (real)0;
            }
        }
    }

    template <class Place> __device__ void store(real (*shared)[side + T::gap], Place placed) const
    {
#pragma unroll
        for (int i = 0; i < own; i++) {
            shared[depth(i)][placed(place(i))] = rounded<T::precision>(next[i]);
        }
    }
};

// The tile that begins at row m0 and column n0, of the sums over k from `from` to `to`. `out` states: spot(m), where
// four rows go; column(n), where a column goes; put(spot, column, n, values).
template <class T, class A, class B, class Out>
static __device__ void product(const A &a, const B &b, const Out &out, int m0, int n0, int from, int to)
{
    __shared__ __align__(16) real left[2][T::k][T::m + T::gap];
    __shared__ __align__(16) real right[2][T::k][T::n + T::gap];
    Strip<T, T::m, A> rows(a, m0);
    Strip<T, T::n, B> columns(b, n0);
    Sums<T> sums;
    auto store = [&](int to) {
        rows.store(left[to], [](int row) { return Sums<T>::place(row); });
        columns.store(right[to], [](int column) { return column; });
    };

    rows.load(from, to);
    columns.load(from, to);
    store(0);
    __syncthreads();
    for (int k = from, now = 0; k < to; k += T::k, now ^= 1) {
        const bool more = k + T::k < to;
        if (more) {
            rows.load(k + T::k, to);
            columns.load(k + T::k, to);
        }
        sums.step(left[now], right[now]);
        if (more) {
            store(now ^ 1);
            __syncthreads();
        }
    }
    sums.finish(out, m0, n0);
}
