// Of cuBLAS the products that candle takes, for an emulated card; of cuRAND what opens a device and does nothing there.
#include "card.h"

#include <cstdlib>

namespace {

enum { success = 0, not_supported = 15 };

// A matrix of a batch, its columns one after the other, or, transposed, its rows.
template <class T> struct Matrix {
    T *start;
    long long apart, batch_apart;
    bool transposed;

    T &at(int batch, int row, int column) const
    {
        return start[batch * batch_apart + (transposed ? column + row * apart : row + column * apart)];
    }
};

template <class T>
int product(int m, int n, int k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta, Matrix<T> c, int batches)
{
    for (int batch = 0; batch < batches; batch++) {
        for (int column = 0; column < n; column++) {
            for (int row = 0; row < m; row++) {
                T sum = 0;
                for (int i = 0; i < k; i++) {
                    sum += a.at(batch, row, i) * b.at(batch, i, column);
                }
                T &to = c.at(batch, row, column);
                // What was there may be no number, and does not count where beta is 0.
                to = alpha * sum + (beta == 0 ? 0 : beta * to);
            }
        }
    }
    return success;
}

} // namespace

struct Handle {
    Stream *stream = nullptr;
};

CARD(cublasCreate_v2, Handle **handle) { return *handle = new Handle, success; }
CARD(cublasDestroy_v2, Handle *handle) { return delete handle, success; }
CARD(cublasSetStream_v2, Handle *handle, Stream *stream) { return handle->stream = stream, success; }

CARD(cublasDgemmStridedBatched, Handle *handle, int a_transposed, int b_transposed, int m, int n, int k, const double *alpha,
    const double *a, int lda, long long stride_a, const double *b, int ldb, long long stride_b, const double *beta,
    double *c, int ldc, long long stride_c, int batches)
{
    const Matrix<const double> left = {a, lda, stride_a, a_transposed != 0}, right = {b, ldb, stride_b, b_transposed != 0};
    const Matrix<double> to = {c, ldc, stride_c, false};
    return give(handle->stream, [=, alpha = *alpha, beta = *beta] {
        return product<double>(m, n, k, alpha, left, right, beta, to, batches);
    });
}

CARD(cublasGemmStridedBatchedEx, Handle *handle, int a_transposed, int b_transposed, int m, int n, int k, const float *alpha,
    const float *a, int a_type, int lda, long long stride_a, const float *b, int b_type, int ldb, long long stride_b,
    const float *beta, float *c, int c_type, int ldc, long long stride_c, int batches, int, int)
{
    // f32.
    if (a_type != 0 || b_type != 0 || c_type != 0) {
        return not_supported;
    }
    const Matrix<const float> left = {a, lda, stride_a, a_transposed != 0}, right = {b, ldb, stride_b, b_transposed != 0};
    const Matrix<float> to = {c, ldc, stride_c, false};
    return give(handle->stream, [=, alpha = *alpha, beta = *beta] {
        return product<float>(m, n, k, alpha, left, right, beta, to, batches);
    });
}

CARD(curandCreateGenerator, void **generator, int) { return *generator = malloc(1), success; }
CARD(curandDestroyGenerator, void *generator) { return free(generator), success; }
CARD(curandSetPseudoRandomGeneratorSeed, void *, unsigned long long) { return success; }
CARD(curandSetStream, void *, void *) { return success; }
