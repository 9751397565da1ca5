// Of NCCL what this crate calls, between processes of one machine: each puts its numbers into a file that all have mapped,
// and all read them there. As on cards, ranks of one card are refused, and an operation given to a stream that is captured
// is a node of the graph.
#include "card.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {

enum Result { success = 0, system_error = 2, invalid_argument = 4, invalid_usage = 5 };

const size_t piece = 1 << 20;
const int most_ranks = 8;

struct Shared {
    std::atomic<int> arrived, round;
    int cards[most_ranks];
    char numbers[most_ranks][piece];
};

struct Communicator {
    Shared *shared;
    int rank, ranks;

    void wait_for_all() const
    {
        const int round = shared->round;
        if (++shared->arrived == ranks) {
            shared->arrived = 0;
            ++shared->round;
            return;
        }
        while (shared->round == round) {
            sched_yield();
        }
    }
};

// Gives `to` what `combine` makes of all ranks' pieces.
template <class T, class Combine>
int exchange(const Communicator &own, const void *from, void *to, size_t n, Combine combine)
{
    const size_t at_once = piece / sizeof(T);
    for (size_t first = 0; first < n; first += at_once) {
        const size_t now = n - first < at_once ? n - first : at_once;
        memcpy(own.shared->numbers[own.rank], (const T *)from + first, now * sizeof(T));
        own.wait_for_all();
        for (size_t i = 0; i < now; i++) {
            ((T *)to)[first + i] = combine([&](int rank) { return ((const T *)own.shared->numbers[rank])[i]; });
        }
        own.wait_for_all();
    }
    return success;
}

template <class T> int mean(const Communicator &own, const void *from, void *to, size_t n)
{
    return exchange<T>(own, from, to, n, [&](auto of) {
        T sum = 0;
        for (int rank = 0; rank < own.ranks; rank++) {
            sum += of(rank);
        }
        return sum / own.ranks;
    });
}

// f32 and f64.
bool known(int type) { return type == 7 || type == 8; }

} // namespace

struct Id {
    char path[128];
};

CARD(ncclGetUniqueId, Id *id)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(id->path, sizeof id->path, "%s/candlelight-nccl-XXXXXX", temporary ? temporary : "/tmp");
    const int file = mkstemp(id->path);
    const bool done = file >= 0 && ftruncate(file, sizeof(Shared)) == 0;
    close(file);
    return done ? success : system_error;
}

CARD(ncclCommInitRank, Communicator **made, int ranks, Id id, int rank)
{
    if (ranks > most_ranks) {
        return invalid_argument;
    }
    const int file = open(id.path, O_RDWR);
    void *shared = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (file < 0 || shared == MAP_FAILED) {
        return system_error;
    }
    *made = new Communicator{(Shared *)shared, rank, ranks};
    const Communicator &own = **made;
    own.shared->cards[rank] = current_card();
    own.wait_for_all();
    if (rank == 0) {
        unlink(id.path);
    }
    for (int other = 0; other < ranks; other++) {
        if (other != rank && own.shared->cards[other] == current_card()) {
            fprintf(stderr, "emulated NCCL: ranks %d and %d have card %d\n", rank, other, current_card());
            return invalid_usage;
        }
    }
    return success;
}

CARD(ncclCommAbort, Communicator *own)
{
    munmap(own->shared, sizeof(Shared));
    return delete own, success;
}

CARD(ncclAllReduce, const void *from, void *to, size_t n, int type, int operation, Communicator *own, Stream *stream)
{
    const int average = 4;
    if (!known(type) || operation != average) {
        return invalid_argument;
    }
    return give(
        stream, [=] { return type == 7 ? mean<float>(*own, from, to, n) : mean<double>(*own, from, to, n); });
}

CARD(ncclBroadcast, const void *from, void *to, size_t n, int type, int root, Communicator *own, Stream *stream)
{
    if (!known(type)) {
        return invalid_argument;
    }
    return give(stream, [=] {
        auto of_root = [root](auto of) { return of(root); };
        return type == 7 ? exchange<float>(*own, from, to, n, of_root) : exchange<double>(*own, from, to, n, of_root);
    });
}
