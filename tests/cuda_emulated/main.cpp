// Runs one operation's kernels: its sizes are the arguments, its tensors come from standard input one after the other,
// and what the kernels write goes to standard output. See tests/cuda_emulated.rs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emulate.h"

#include "../../src/ops/cuda/kernels/common.cuh"
#include "tensor_core.h"
#include "../../src/ops/cuda/kernels/tile.cuh"
#include "../../src/ops/cuda/kernels/conv2d.cu"
#include "../../src/ops/cuda/kernels/cross_entropy.cuh"
#include "../../src/ops/cuda/kernels/cross_entropy.cu"
#include "../../src/ops/cuda/kernels/max_pool2d.cu"
#include "../../src/ops/cuda/kernels/optimizers.cuh"
#include "../../src/ops/cuda/kernels/optimizers.cu"

template <class T = real> static std::vector<T> read(long n)
{
    std::vector<T> values(n);
    if (fread(values.data(), sizeof(T), n, stdin) != (size_t)n) {
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
static void conv2d(Conv2d c, bool has_bias)
{
    long weights = (long)c.out_channels * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w;
    long outputs = (long)c.images * c.out_channels * c.out_h * c.out_w;
    auto in = read((long)c.images * c.in_channels * c.in_h * c.in_w);
    auto weight = read(weights);
    auto bias = read(has_bias ? c.out_channels : 0);
    auto grad = read(outputs);
    std::vector<real> out(outputs), of_in(in.size()), of_weight(weights), of_bias(c.out_channels);
    // As in src/ops/cuda/conv2d.rs, but for which tiles are taken: each in turn, the depth in up to three parts.
    static bool large = false;
    large = (c.images + c.in_h) % 2 == 0;
    auto cut = [&](long m, long n, int splits) {
        c.tiles_m = large ? (m + 127) / 128 : (m + 63) / 64;
        c.tiles_n = large ? (n + 63) / 64 : (n + 31) / 32;
        c.splits = splits;
        return c.tiles_m * c.tiles_n * splits * c.groups;
    };
    long channels = c.in_channels / c.groups, group = c.out_channels / c.groups;
    long pixels = (long)c.images * c.out_h * c.out_w, depth = channels * c.kernel_h * c.kernel_w;
    const real *b = has_bias ? bias.data() : nullptr;
    auto *forward = large ? conv2d_forward_128x64 : conv2d_forward_64x32;
    launch(cut(pixels, group, 1), 128, [&] { forward(out.data(), in.data(), weight.data(), b, c); });
    auto *input_gradient = large ? conv2d_input_gradient_128x64 : conv2d_input_gradient_64x32;
    launch(cut((long)c.images * c.in_h * c.in_w, channels, 1), 128,
        [&] { input_gradient(of_in.data(), grad.data(), weight.data(), c); });
    auto *weight_gradient = large ? conv2d_weight_gradient_128x64 : conv2d_weight_gradient_64x32;
    const int splits = pixels >= 48 ? 3 : 1;
    std::vector<real> parts(weights * splits);
    launch(cut(group, depth, splits), 128, [&] { weight_gradient(parts.data(), in.data(), grad.data(), c); });
    launch((weights + 255) / 256, 256, [&] { conv2d_sum(of_weight.data(), parts.data(), weights, splits); });
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

// The step's numbers and flags, then p, g, a, b and c of n numbers each; all but g as they are after the step.
static void optimizer(const char *name, long n)
{
    Step step;
    auto numbers = read<double>(8);
    auto flags = read<long long>(4);
    std::copy(numbers.begin(), numbers.end(), step.numbers);
    std::copy(flags.begin(), flags.end(), step.flags);
    auto p = read(n), g = read(n), a = read(n), b = read(n), c = read(n);
    auto *kernel = strcmp(name, "sgd") == 0 ? sgd
        : strcmp(name, "adam") == 0         ? adam
        : strcmp(name, "rms_prop") == 0     ? rms_prop
                                            : adagrad;
    each(n, [&] { kernel(p.data(), g.data(), a.data(), b.data(), c.data(), n, step); });
    write(p);
    write(a);
    write(b);
    write(c);
}

// Logits, indices or probabilities, weights, the loss's gradient; the loss, the gradient of the logits, and of
// probabilities theirs.
static void cross_entropy(char **words)
{
    CrossEntropy c = {atol(words[0]), atol(words[1]), atol(words[2]), atol(words[3]), atof(words[4]),
        atol(words[5]), atol(words[6]), atol(words[7])};
    long all = c.classes * c.targets, losses_n = c.reduction == 0 ? c.targets : 1;
    auto logits = read(all);
    auto indices = read<long long>(c.has_indices ? c.targets : 0);
    auto truth = read(c.has_indices ? 0 : all);
    auto weight = read<double>(c.has_weight ? c.classes : 0);
    auto grad = read(losses_n);
    std::vector<real> losses(c.targets), loss(1), of_logits(all), of_truth(truth.size());
    double divisor;
    launch(1, 256, [&] { cross_entropy_divisor(&divisor, indices.data(), weight.data(), c); });
    each(c.targets, [&] {
        cross_entropy_losses(losses.data(), logits.data(), indices.data(), truth.data(), weight.data(), c);
    });
    launch(1, 256, [&] { cross_entropy_reduce(loss.data(), losses.data(), &divisor, c); });
    each(c.targets, [&] {
        cross_entropy_logits_gradient(of_logits.data(), logits.data(), indices.data(), truth.data(),
            weight.data(), grad.data(), &divisor, c);
    });
    if (!c.has_indices) {
        each(c.targets, [&] {
            cross_entropy_targets_gradient(of_truth.data(), logits.data(), weight.data(), grad.data(), &divisor, c);
        });
    }
    write(c.reduction == 0 ? losses : loss);
    write(of_logits);
    write(of_truth);
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
    if (argc == 2 + 19 + 1 && strcmp(argv[1], "conv2d") == 0) {
        conv2d(sizes<Conv2d>(argv + 2), atoi(argv[21]));
    } else if (argc == 2 + 13 && strcmp(argv[1], "max_pool2d") == 0) {
        max_pool2d(sizes<MaxPool2d>(argv + 2));
    } else if (argc == 4 && strcmp(argv[1], "optimizer") == 0) {
        optimizer(argv[2], atol(argv[3]));
    } else if (argc == 2 + 8 && strcmp(argv[1], "cross_entropy") == 0) {
        cross_entropy(argv + 2);
    } else {
        fprintf(stderr, "an operation and its sizes, see main.cpp\n");
        return 2;
    }
}
