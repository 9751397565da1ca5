// Runs a captured step: memories with their contents, the addresses in them, and the kernels' calls come from standard
// input, so many steps later the memories' contents go to standard output. See src/ops/captured/tests.rs, which writes
// `call`, the kernels by their numbers.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

typedef unsigned long long word;

static void call(word kernel, word blocks, word threads, const std::vector<word> &words);

static void take(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes) {
        fprintf(stderr, "too few bytes\n");
        exit(2);
    }
}

static word take_word()
{
    word found;
    take(&found, sizeof found);
    return found;
}

// A kernel's parameter from its words.
template <class T> static T parameter(const std::vector<word> &words)
{
    T found;
    if (words.size() * sizeof(word) != sizeof found) {
        fprintf(stderr, "%zu words for %zu bytes\n", words.size(), sizeof found);
        exit(2);
    }
    memcpy(&found, words.data(), sizeof found);
    return found;
}

int main()
{
    std::vector<std::vector<char>> memories(take_word());
    for (auto &memory : memories) {
        // Each by itself, so that a tool for stray accesses sees where it ends.
        memory.resize(take_word());
        take(memory.data(), memory.size());
    }
    // A memory's number above all, or a plain word.
    auto resolved = [&] {
        word memory = take_word(), value = take_word();
        return memory == ~0ull ? value : (word)(memories[memory].data() + value);
    };
    std::vector<word> addressed;
    for (word n = take_word(); n > 0; n--) {
        word offset = take_word(), address = resolved();
        memcpy(memories[0].data() + offset, &address, sizeof address);
        addressed.push_back(offset);
    }
    struct Call {
        word blocks, threads;
        std::vector<word> words;
    };
    std::vector<Call> calls(take_word());
    for (Call &call : calls) {
        call.blocks = take_word();
        call.threads = take_word();
        call.words.resize(take_word());
        for (word &w : call.words) {
            w = resolved();
        }
    }
    for (word steps = take_word(); steps > 0; steps--) {
        for (size_t i = 0; i < calls.size(); i++) {
            call(i, calls[i].blocks, calls[i].threads, calls[i].words);
        }
    }
    // Addresses are others each time.
    for (word offset : addressed) {
        memset(memories[0].data() + offset, 0, sizeof offset);
    }
    for (auto &memory : memories) {
        fwrite(memory.data(), 1, memory.size(), stdout);
    }
}
