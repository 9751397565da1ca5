// An emulated card's streams and graphs: see streams.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>

#define CARD(name, ...) extern "C" int name(__VA_ARGS__)

struct Stream;

// The number of the calling thread's card.
int current_card();

// Of everything that is given to streams: a program's threads use a card at once.
std::recursive_mutex &card();

// Puts work into a stream's queue, or makes a node of it where the stream is captured. It gives an error, or 0.
int give(Stream *stream, std::function<int()> work);

// Runs what a stream was given so far, and what that waits for; all streams, where it is null.
int finish(Stream *stream);

// An error while a stream is captured.
int not_while_capturing(const char *what);
