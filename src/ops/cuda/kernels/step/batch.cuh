// Where a captured step begins and where it ends: its images, its losses, the parameters' change. The same graph is every
// step of an epoch, so the step's number is on the card. `next` is read by the first kernel alone, which writes `now`; the
// loss's kernel, which comes after, writes `next`.

struct Gather {
    // The images as bytes, and the number that each byte becomes; or as reals, without a table.
    const void *images;
    const real *table;
    // The place of each image of the epoch, first to last.
    const unsigned *order;
    // The first pixel, and how far images, channels and rows lie apart.
    real *to;
    long long to_image, to_channel, to_row;
    long long batch, total, channels, rows, columns;
    const long long *next;
    long long *now;
};

static __device__ void gather(const Gather &p)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const long long step = *p.next;
    if (i == 0) {
        *p.now = step;
    }
    const int columns = p.columns, rows = p.rows, channels = p.channels;
    const int x = i % columns, y = i / columns % rows, c = i / columns / rows % channels;
    const int n = i / columns / rows / channels;
    if (n >= (int)p.batch) {
        return;
    }
    // A last batch is filled up with its last image, whose loss does not count there.
    const long long place = step * p.batch + n;
    const long long image = p.order[place < p.total ? place : p.total - 1];
    const long long pixel = image * channels * rows * columns + (c * rows + y) * columns + x;
    p.to[n * p.to_image + c * p.to_channel + y * p.to_row + x] =
        p.table ? p.table[((const unsigned char *)p.images)[pixel]] : ((const real *)p.images)[pixel];
}

struct Loss {
    const real *logits;
    // Null where the net is only evaluated.
    real *grad;
    // The epoch's targets; what each step divides the sum of its losses by; the weights of the classes, or null.
    const long long *targets;
    const double *divisors;
    const double *weight;
    // Of each image of the epoch.
    real *losses;
    unsigned char *right;
    long long batch, total, classes, ignore_index;
    double smoothing;
    long long *next;
    const long long *now;
};

// A thread has an image.
static __device__ void loss(const Loss &p)
{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    const long long step = *p.now, place = step * p.batch + i;
    if (i == 0) {
        *p.next = step + 1;
    }
    if (i >= p.batch) {
        return;
    }
    const CrossEntropy c = {p.classes, p.batch, 1, p.ignore_index, p.smoothing, 1, p.weight != 0, 1};
    const long long start = i * p.classes;
    if (place >= p.total) {
        for (int k = 0; k < p.classes && p.grad; k++) {
            p.grad[start + k] = 0;
        }
        return;
    }
    const long long *target = p.targets + place;
    p.losses[place] = loss_of(p.logits, start, 0, target, 0, p.weight, c);
    if (p.grad) {
        logits_gradient_of(p.grad, p.logits, 1.0 / p.divisors[step], start, 0, target, 0, p.weight, c);
    }
    // The first of the largest, and NaN before all, as in torch.argmax.
    const real *logits = p.logits + start;
    int best = 0;
    for (int k = 1; k < p.classes; k++) {
        best = logits[k] > logits[best] || (logits[k] != logits[k] && logits[best] == logits[best]) ? k : best;
    }
    p.right[place] = best == *target;
}

// A parameter, what the optimizer remembers of it, and where its gradient's parts are: number i is the sum over all parts
// of partials[part · parts_apart + i / columns · row + i % columns].
struct Parameter {
    real *p, *a, *b, *c;
    const real *partials;
    long long parts, parts_apart, columns, row;
};

struct Update {
    const Parameter *parameters;
    // Of each block: the parameter, its first number, the one after its last, and how many threads share the sum of a
    // number's parts.
    const int *blocks;
    const Step *steps;
    const long long *now;
};

// Not a parameter's: gradients that go to the other ranks are one number each.
static __device__ void sum_rule(real &sum, real gradient, real *, real *, real *, const Step &) { sum = gradient; }

template <void rule(real &, real, real *, real *, real *, const Step &)>
static __device__ void update(const Update &u)
{
    __shared__ real sums[256];
    const int *block = u.blocks + 4 * blockIdx.x;
    const Parameter &own = u.parameters[block[0]];
    const Step &step = u.steps[*u.now];
    const int columns = own.columns, row = own.row, end = block[2], shares = block[3];
    const int numbers = blockDim.x / shares, share = threadIdx.x / numbers, place = threadIdx.x % numbers;
    for (int first = block[1]; first < end; first += numbers) {
        const int i = first + place;
        const real *part = own.partials + i / columns * row + i % columns;
        real gradient = 0;
        for (int k = share; k < own.parts && i < end; k += shares) {
            gradient += part[k * own.parts_apart];
        }
        if (shares > 1) {
            sums[threadIdx.x] = gradient;
            __syncthreads();
            for (int k = 1; k < shares && share == 0; k++) {
                gradient += sums[k * numbers + place];
            }
            __syncthreads();
        }
        if (share == 0 && i < end) {
            rule(own.p[i], gradient, own.a + i, own.b + i, own.c + i, step);
        }
    }
}
