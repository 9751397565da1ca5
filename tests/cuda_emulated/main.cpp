// Runs one operation's kernels: its sizes are the arguments, its tensors come from standard input one after the other,
// and what the kernels write goes to standard output. See tests/cuda_emulated.rs.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emulate.h"

#include "../../src/ops/cuda/kernels/conv2d.cu"
#include "../../src/ops/cuda/kernels/max_pool2d.cu"

static std::vector<real> read(long n)
{
    std::vector<real> values(n);
    if (fread(values.data(), sizeof(real), n, stdin) != (size_t)n) {
        fprintf(stderr, "too few numbers\n");
        exit(2);
    }
    return values;
}

template <class T> static void write(const std::vector<T> &values)
{
    fwrite(values.data(), sizeof(T), values.size(), stdout);
}

// As `each` in src/ops/cuda/launch.rs, with blocks so few that some threads have several numbers.
static void each(long n, std::function<void()> kernel)
{
    long blocks = (n + 255) / 256;
    launch(blocks > 2 ? 2 : blocks, 256, kernel);
}

// Input, weight, bias, gradient; output and the gradients of input, weight and bias.
static void conv2d(const Conv2d &c, bool has_bias)
{
    long weights = (long)c.out_channels * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w;
    long outputs = (long)c.images * c.out_channels * c.out_h * c.out_w;
    auto in = read((long)c.images * c.in_channels * c.in_h * c.in_w);
    auto weight = read(weights);
    auto bias = read(has_bias ? c.out_channels : 0);
    auto grad = read(outputs);
    std::vector<real> out(outputs), of_in(in.size()), of_weight(weights), of_bias(c.out_channels);
    each(outputs, [&] { conv2d_forward(out.data(), in.data(), weight.data(), bias.data(), has_bias, c); });
    each(in.size(), [&] { conv2d_input_gradient(of_in.data(), grad.data(), weight.data(), c); });
    launch(weights, 256, [&] { conv2d_weight_gradient(of_weight.data(), in.data(), grad.data(), c); });
    launch(c.out_channels, 256, [&] { conv2d_bias_gradient(of_bias.data(), grad.data(), c); });
    write(out);
    write(of_in);
    write(of_weight);
    write(of_bias);
}

// Input, gradient; output, the input's gradient, and at the end the indices.
static void max_pool2d(const MaxPool2d &p)
{
    long outputs = (long)p.planes * p.out_h * p.out_w;
    auto in = read((long)p.planes * p.in_h * p.in_w);
    auto grad = read(outputs);
    std::vector<real> out(outputs), of_in(in.size());
    std::vector<unsigned> indices(outputs);
    each(outputs, [&] { max_pool2d_forward(out.data(), indices.data(), in.data(), p); });
    each(in.size(), [&] { max_pool2d_gradient(of_in.data(), grad.data(), indices.data(), p); });
    write(out);
    write(of_in);
    write(indices);
}

template <class Sizes> static Sizes sizes(char **words)
{
    int numbers[sizeof(Sizes) / sizeof(int)];
    for (int &number : numbers) {
        number = atoi(*words++);
    }
    Sizes found;
    memcpy(&found, numbers, sizeof found);
    return found;
}

int main(int argc, char **argv)
{
    if (argc == 2 + 16 + 1 && strcmp(argv[1], "conv2d") == 0) {
        conv2d(sizes<Conv2d>(argv + 2), atoi(argv[18]));
    } else if (argc == 2 + 13 && strcmp(argv[1], "max_pool2d") == 0) {
        max_pool2d(sizes<MaxPool2d>(argv + 2));
    } else {
        fprintf(stderr, "conv2d and its 17 numbers, or max_pool2d and its 13\n");
        return 2;
    }
}
