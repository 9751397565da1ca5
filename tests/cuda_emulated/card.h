// An emulated card's streams and graphs: see card.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#define CARD(name, ...) extern "C" int name(__VA_ARGS__)

struct Graph {
    // Each gives an error, or 0.
    std::vector<std::function<int()>> nodes;
};

struct Stream {
    // Of the stream that is captured, and of those that wait for an event of its.
    Graph *capturing = nullptr;
    // How many nodes the graph had after this stream's last one, and how many of them the captured stream waits for.
    size_t last = 0, joined = 0;
};

// The number of the calling thread's card.
int current_card();

// What is given to a stream.
inline int do_or_capture(Stream *stream, std::function<int()> work)
{
    if (!stream || !stream->capturing) {
        return work();
    }
    stream->capturing->nodes.push_back(work);
    stream->last = stream->capturing->nodes.size();
    return 0;
}
