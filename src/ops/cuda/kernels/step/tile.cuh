// The product of two matrices, an operand's numbers brought by its own rule. A block of threads computes a tile; a
// thread keeps TM × TN sums of it in registers, in groups of four rows. Every sum is taken along k from front to back,
// so that no result depends on how the product is cut.

// Rows and columns of a tile, how much of the depth lies in shared memory at once, and a thread's rows and columns.
template <int M, int N, int K, int TM, int TN> struct Tile {
    static constexpr int m = M, n = N, k = K, tm = TM, tn = TN;
    static constexpr int threads = M / TM * (N / TN);
    // The groups in which a thread has rows and columns, and how far they lie apart.
    static constexpr int in_m = 4, in_n = TN < 4 ? TN : 4;
    static constexpr int apart_m = M * 4 / TM, apart_n = N * in_n / TN;
};

struct __align__(16) Four {
    real v[4];
};

// One side of the tile on its way into shared memory. `Operand` states: along_k, whether neighbouring threads take
// neighbours along k (or else along the side); row(i), where row i begins, negative where there is none; column(k), how
// far along number k is; at(row, column).
template <class T, int side, class Operand> struct Strip {
    static constexpr int own = side * T::k / T::threads;
    static_assert(side * T::k % T::threads == 0, "threads with unequal shares");

    const Operand &operand;
    int rows[own];
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

    __device__ void load(int from, int to)
    {
#pragma unroll
        for (int i = 0; i < own; i++) {
            const int k = from + depth(i);
            next[i] = k < to ? operand.at(rows[i], operand.column(k)) : (real)0;
        }
    }

    __device__ void store(real (*shared)[side + 4]) const
    {
#pragma unroll
        for (int i = 0; i < own; i++) {
            shared[depth(i)][place(i)] = next[i];
        }
    }
};

// The tile that begins at row m0 and column n0, of the sums over k from `from` to `to`. `out` states: spot(m), where
// four rows go; column(n), where a column goes; put(spot, column, n, values).
template <class T, class A, class B, class Out>
static __device__ void product(const A &a, const B &b, const Out &out, int m0, int n0, int from, int to)
{
    // The four numbers more keep a row's start on 16 bytes, and threads that write a column off each other's banks.
    __shared__ __align__(16) real left[2][T::k][T::m + 4];
    __shared__ __align__(16) real right[2][T::k][T::n + 4];
    Strip<T, T::m, A> rows(a, m0);
    Strip<T, T::n, B> columns(b, n0);
    const int tx = threadIdx.x % (T::n / T::tn) * T::in_n;
    const int ty = threadIdx.x / (T::n / T::tn) * T::in_m;
    real sums[T::tm][T::tn] = {};

    rows.load(from, to);
    columns.load(from, to);
    rows.store(left[0]);
    columns.store(right[0]);
    __syncthreads();
    for (int k = from, now = 0; k < to; k += T::k, now ^= 1) {
        const bool more = k + T::k < to;
        if (more) {
            rows.load(k + T::k, to);
            columns.load(k + T::k, to);
        }
#pragma unroll
        for (int i = 0; i < T::k; i++) {
            real x[T::tm], y[T::tn];
#pragma unroll
            for (int r = 0; r < T::tm; r += 4) {
                *(Four *)(x + r) = *(const Four *)&left[now][i][r / 4 * T::apart_m + ty];
            }
#pragma unroll
            for (int c = 0; c < T::tn; c++) {
                y[c] = right[now][i][c / T::in_n * T::apart_n + tx + c % T::in_n];
            }
#pragma unroll
            for (int r = 0; r < T::tm; r++) {
#pragma unroll
                for (int c = 0; c < T::tn; c++) {
                    sums[r][c] += x[r] * y[c];
                }
            }
        }
        if (more) {
            rows.store(left[now ^ 1]);
            columns.store(right[now ^ 1]);
            __syncthreads();
        }
    }

#pragma unroll
    for (int r = 0; r < T::tm; r += 4) {
        const auto spot = out.spot(m0 + r / 4 * T::apart_m + ty);
#pragma unroll
        for (int c = 0; c < T::tn; c++) {
            const int n = n0 + c / T::in_n * T::apart_n + tx + c % T::in_n;
            const real values[4] = {sums[r][c], sums[r + 1][c], sums[r + 2][c], sums[r + 3][c]};
            out.put(spot, out.column(n), n, values);
        }
    }
}
