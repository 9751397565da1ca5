// Streams, events and graphs of an emulated card. What a stream is given is put into a queue, and run when the program waits
// for it or when CANDLELIGHT_EMULATED_ORDER lets it:
//
//   soon    when it is given
//   late    when it is waited for, and no sooner: what does not wait for its input has not got it
//   beside  as late on the first stream, on the others as soon as their waits allow: what they may overwrite, they have
//
// A graph's branches are queues, too. What a capture may not do is an error.
#include "card.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace {

enum Result { success = 0, capture_unsupported = 900, capture_unjoined = 904, stream_capturing = 905 };

struct Queue;

// What is run once so many works of another queue have been.
struct Work {
    std::function<int()> run;
    std::shared_ptr<Queue> other;
    size_t others = 0;
};

struct Queue {
    std::deque<Work> works;
    size_t given = 0, done = 0;
    // A graph's, whose works are run again and again.
    bool kept = false;
};

struct Graph {
    std::map<Stream *, std::shared_ptr<Queue>> queues;
    std::shared_ptr<Queue> first;
};

struct Event {
    std::shared_ptr<Queue> queue;
    size_t given = 0;
    Graph *of = nullptr;
};

// The graph of the stream that is captured: one at a time.
Graph *captured = nullptr;
int failed = success;
// Of the streams that there are, first to last.
std::vector<std::shared_ptr<Queue>> queues;

const char *order()
{
    static const char *asked = getenv("CANDLELIGHT_EMULATED_ORDER");
    return asked ? asked : "soon";
}

void run_until(Queue &queue, size_t given)
{
    while (queue.done < given) {
        const Work work = queue.works[queue.kept ? queue.done : 0];
        if (work.other) {
            run_until(*work.other, work.others);
        }
        const int error = work.run ? work.run() : 0;
        failed = failed ? failed : error;
        queue.done++;
        if (!queue.kept) {
            queue.works.pop_front();
        }
    }
}

void put(const std::shared_ptr<Queue> &queue, Work work)
{
    queue->works.push_back(work);
    queue->given++;
    if (captured) {
        return;
    }
    if (strcmp(order(), "soon") == 0) {
        run_until(*queue, queue->given);
    }
    if (strcmp(order(), "beside") == 0) {
        for (bool any = true; any;) {
            any = false;
            for (size_t i = 1; i < queues.size(); i++) {
                Queue &own = *queues[i];
                while (own.done < own.given && (!own.works[0].other || own.works[0].other->done >= own.works[0].others)) {
                    run_until(own, own.done + 1);
                    any = true;
                }
            }
        }
    }
}

} // namespace

struct Stream {
    std::shared_ptr<Queue> own = std::make_shared<Queue>();

    bool capturing() const { return captured && captured->queues.count(const_cast<Stream *>(this)); }
    std::shared_ptr<Queue> queue() { return capturing() ? captured->queues[this] : own; }
};

using Locked = std::lock_guard<std::recursive_mutex>;

std::recursive_mutex &card()
{
    static std::recursive_mutex one;
    return one;
}

int not_while_capturing(const char *what)
{
    Locked locked(card());
    if (!captured) {
        return success;
    }
    fprintf(stderr, "emulated card: %s while a stream is captured\n", what);
    return capture_unsupported;
}

int give(Stream *stream, std::function<int()> work)
{
    Locked locked(card());
    if (!stream) {
        finish(nullptr);
        return work();
    }
    put(stream->queue(), {work, nullptr, 0});
    return failed;
}

int finish(Stream *stream)
{
    Locked locked(card());
    if (captured) {
        return not_while_capturing("a wait");
    }
    if (stream) {
        run_until(*stream->own, stream->own->given);
    } else {
        for (auto &queue : queues) {
            run_until(*queue, queue->given);
        }
    }
    return failed;
}

CARD(cuStreamCreate, Stream **stream, unsigned)
{
    Locked locked(card());
    *stream = new Stream;
    queues.push_back((*stream)->own);
    return success;
}
CARD(cuStreamDestroy_v2, Stream *stream)
{
    Locked locked(card());
    run_until(*stream->own, stream->own->given);
    for (size_t i = 0; i < queues.size(); i++) {
        if (queues[i] == stream->own) {
            queues.erase(queues.begin() + i);
            break;
        }
    }
    return delete stream, success;
}
CARD(cuStreamSynchronize, Stream *stream) { return finish(stream); }
CARD(cuCtxSynchronize) { return finish(nullptr); }
CARD(cuStreamIsCapturing, Stream *stream, int *status)
{
    Locked locked(card());
    return *status = stream->capturing(), success;
}
CARD(cuStreamWaitEvent, Stream *stream, Event *event, unsigned)
{
    Locked locked(card());
    if (!event->queue) {
        return success;
    }
    if (event->of != captured && (event->of || stream->capturing())) {
        fprintf(stderr, "emulated card: a wait for an event of another capture\n");
        return capture_unsupported;
    }
    if (event->of && !stream->capturing()) {
        captured->queues[stream] = std::make_shared<Queue>();
        captured->queues[stream]->kept = true;
    }
    put(stream->queue(), {nullptr, event->queue, event->given});
    return success;
}
CARD(cuEventCreate, Event **event, unsigned) { return *event = new Event, success; }
CARD(cuEventDestroy_v2, Event *event) { return delete event, success; }
CARD(cuEventRecord, Event *event, Stream *stream)
{
    Locked locked(card());
    auto queue = stream->queue();
    *event = {queue, queue->given, stream->capturing() ? captured : nullptr};
    return success;
}
CARD(cuEventSynchronize, Event *event)
{
    Locked locked(card());
    if (event->of) {
        return not_while_capturing("a wait for an event");
    }
    if (event->queue) {
        run_until(*event->queue, event->given);
    }
    return failed;
}
CARD(cuEventQuery, Event *event) { return cuEventSynchronize(event); }

CARD(cuStreamBeginCapture_v2, Stream *stream, int)
{
    Locked locked(card());
    if (captured) {
        return stream_capturing;
    }
    captured = new Graph;
    captured->first = captured->queues[stream] = std::make_shared<Queue>();
    captured->first->kept = true;
    return success;
}
CARD(cuStreamEndCapture, Stream *, Graph **graph)
{
    Locked locked(card());
    *graph = captured;
    captured = nullptr;
    // What the first stream waits for, and what that does.
    std::map<Queue *, size_t> joined;
    std::function<void(Queue &, size_t)> join = [&](Queue &queue, size_t given) {
        for (size_t &known = joined[&queue]; known < given; known++) {
            if (const Work &work = queue.works[known]; work.other) {
                join(*work.other, work.others);
            }
        }
    };
    join(*(*graph)->first, (*graph)->first->given);
    for (auto &[_, queue] : (*graph)->queues) {
        if (joined[queue.get()] < queue->given) {
            fprintf(stderr, "emulated card: a capture ends before what it forked\n");
            return capture_unjoined;
        }
    }
    return success;
}
CARD(cuGraphInstantiateWithFlags, Graph **ready, Graph *graph, unsigned long long)
{
    return *ready = new Graph(*graph), success;
}
CARD(cuGraphUpload, Graph *, Stream *) { return success; }
CARD(cuGraphLaunch, Graph *graph, Stream *stream)
{
    const Graph all = *graph;
    return give(stream, [all] {
        for (auto &[_, queue] : all.queues) {
            queue->done = 0;
        }
        run_until(*all.first, all.first->given);
        return failed;
    });
}
CARD(cuGraphExecDestroy, Graph *graph) { return delete graph, success; }
CARD(cuGraphDestroy, Graph *graph) { return delete graph, success; }
