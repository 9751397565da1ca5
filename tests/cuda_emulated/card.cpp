// CUDA cards on the processor: the driver's functions. For a program built with the feature cuda, on a machine without a
// card; see card.sh, which loads it before CUDA's libraries, with streams.cpp, nvrtc.cpp, blas.cpp and nccl.cpp.
//
// Kernels are compiled as C++ and run with emulate.h: those given to NVRTC, and candle's, in whose place
// scripts/nvcc-for-check has left the path of their source. A kernel whose code was unloaded is an error.
#include "card.h"
#include "compile.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

enum Result {
    success = 0,
    not_found = 500,
    not_supported = 801,
};

struct Module {
    void *library = nullptr;
    bool loaded = true;
};

struct Function {
    Module *module;
    std::string name;
    void (*run)(void **, unsigned, unsigned) = nullptr;
    const size_t *(*sizes)() = nullptr;
};

struct Launch {
    Function *function;
    unsigned blocks, threads;
    std::vector<std::vector<char>> arguments;
};

// As many as a test asks for.
int cards()
{
    const char *asked = getenv("CANDLELIGHT_EMULATED_CARDS");
    return asked ? atoi(asked) : 1;
}

// The device's number and 1, of each thread.
thread_local void *current = nullptr;

int run(const Launch &launch)
{
    if (!launch.function->module->loaded) {
        fprintf(stderr, "emulated card: %s was unloaded\n", launch.function->name.c_str());
        return not_found;
    }
    std::vector<void *> arguments;
    for (auto &argument : launch.arguments) {
        arguments.push_back((void *)argument.data());
    }
    launch.function->run(arguments.data(), launch.blocks, launch.threads);
    return success;
}

} // namespace

int current_card() { return (int)(long)current - 1; }


CARD(cuInit, unsigned) { return success; }
CARD(cuDeviceGetCount, int *count) { return *count = cards(), success; }
CARD(cuDeviceGet, int *device, int ordinal) { return *device = ordinal, ordinal < cards() ? success : 101; }
CARD(cuDeviceGetName, char *name, int length, int) { return snprintf(name, length, "emulated card"), success; }
CARD(cuDeviceTotalMem_v2, size_t *bytes, int) { return *bytes = 4ull << 30, success; }
CARD(cuMemGetInfo_v2, size_t *free, size_t *total) { return *free = *total = 4ull << 30, success; }
CARD(cuDeviceGetAttribute, int *value, int attribute, int)
{
    // Multiprocessors, the version 9.0, and that memory can be taken in the order of a stream.
    const std::map<int, int> known = {{16, 132}, {75, 9}, {76, 0}, {115, 1}};
    auto found = known.find(attribute);
    *value = found == known.end() ? 0 : found->second;
    return success;
}
CARD(cuDeviceGetDefaultMemPool, void **pool, int) { return *pool = &current, success; }
CARD(cuMemPoolSetAttribute, void *, int, void *) { return success; }
CARD(cuDevicePrimaryCtxRetain, void **context, int device) { return *context = (void *)(device + 1l), success; }
CARD(cuDevicePrimaryCtxRelease_v2, int) { return success; }
CARD(cuCtxDestroy_v2, void *) { return success; }
CARD(cuCtxGetCurrent, void **context) { return *context = current, success; }
CARD(cuCtxSetCurrent, void *context) { return current = context, success; }
CARD(cuGetErrorString, int error, const char **text)
{
    return *text = error == not_supported ? "not on an emulated card" : "an emulated card's error", success;
}
CARD(cuGetErrorName, int, const char **text) { return *text = "EMULATED_CARD", success; }

// Memory that a card reads by itself, and so when it comes to that.
static std::map<const char *, size_t> pinned;

static bool is_pinned(const void *memory)
{
    auto after = pinned.upper_bound((const char *)memory);
    return after != pinned.begin() && (--after, (const char *)memory < after->first + after->second);
}

CARD(cuMemAllocAsync, void **memory, size_t bytes, Stream *)
{
    // Not zeros: what is not written must not look as if it were.
    *memory = malloc(bytes ? bytes : 1);
    memset(*memory, 0xa5, bytes);
    return not_while_capturing("memory taken");
}
CARD(cuMemAlloc_v2, void **memory, size_t bytes) { return cuMemAllocAsync(memory, bytes, nullptr); }
CARD(cuMemFreeAsync, void *memory, Stream *stream)
{
    const int error = not_while_capturing("memory given back");
    return error ? error : give(stream, [memory] {
        // Nor what is used no more as if it were kept.
        memset(memory, 0xa5, malloc_usable_size(memory));
        return free(memory), success;
    });
}
CARD(cuMemFree_v2, void *memory) { return cuMemFreeAsync(memory, nullptr); }
CARD(cuMemHostAlloc, void **memory, size_t bytes, unsigned)
{
    std::lock_guard<std::recursive_mutex> locked(card());
    *memory = malloc(bytes ? bytes : 1);
    pinned[(const char *)*memory] = bytes;
    return success;
}
CARD(cuMemFreeHost, void *memory)
{
    std::lock_guard<std::recursive_mutex> locked(card());
    memset(memory, 0xa5, pinned[(const char *)memory]);
    pinned.erase((const char *)memory);
    return free(memory), success;
}
CARD(cuMemsetD8Async, void *to, unsigned char value, size_t bytes, Stream *stream)
{
    const int error = not_while_capturing("memory set");
    return error ? error : give(stream, [=] { return memset(to, value, bytes), success; });
}
CARD(cuMemcpyHtoDAsync_v2, void *to, const void *from, size_t bytes, Stream *stream)
{
    std::lock_guard<std::recursive_mutex> locked(card());
    if (int error = not_while_capturing("a copy")) {
        return error;
    }
    if (is_pinned(from)) {
        return give(stream, [=] { return memcpy(to, from, bytes), success; });
    }
    // Other memory is the program's again when the call returns.
    const std::vector<char> kept((const char *)from, (const char *)from + bytes);
    return give(stream, [=] { return memcpy(to, kept.data(), bytes), success; });
}
CARD(cuMemcpyDtoHAsync_v2, void *to, const void *from, size_t bytes, Stream *stream)
{
    std::lock_guard<std::recursive_mutex> locked(card());
    if (int error = not_while_capturing("a copy")) {
        return error;
    }
    const int error = give(stream, [=] { return memcpy(to, from, bytes), success; });
    // To other memory it is done when the call returns.
    return error || is_pinned(to) ? error : finish(stream);
}
CARD(cuMemcpyDtoDAsync_v2, void *to, const void *from, size_t bytes, Stream *stream)
{
    const int error = not_while_capturing("a copy");
    return error ? error : give(stream, [=] { return memcpy(to, from, bytes), success; });
}

// candle's kernels of a file, compiled once for all processes of a test.
static std::string candles(const std::string &file)
{
    const char *temporary = getenv("TMPDIR");
    const std::string known = std::string(temporary ? temporary : "/tmp") + "/candle-" + file.substr(file.rfind('/') + 1) + ".so";
    if (access(known.c_str(), R_OK) != 0) {
        const std::string source = read_all(file);
        std::string flags = "-I" + file.substr(0, file.rfind('/'));
        if (source.find("__syncthreads") == source.npos && source.find("__shfl") == source.npos) {
            flags += " -DEMULATED_ALONE";
        }
        const Made made = compile(file, "#include \"candle.h\"\n", flags);
        if (made.library.empty()) {
            fprintf(stderr, "emulated card: %s: %s\n", file.c_str(), made.log.c_str());
            return "";
        }
        rename(made.library.c_str(), known.c_str());
    }
    return known;
}

CARD(cuModuleLoadData, Module **module, const char *image)
{
    if (int error = not_while_capturing("a module loaded")) {
        return error;
    }
    const std::string candle_prefix = "// candle's kernels: ";
    std::string text = image, library;
    if (text.rfind(library_prefix, 0) == 0) {
        library = text.substr(strlen(library_prefix));
    } else if (text.rfind(candle_prefix, 0) == 0) {
        library = candles(text.substr(candle_prefix.size(), text.find('\n') - candle_prefix.size()));
    }
    *module = new Module;
    (*module)->library = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library.empty() || !(*module)->library) {
        fprintf(stderr, "emulated card: a module that cannot be loaded: %s\n", library.empty() ? image : dlerror());
        return not_found;
    }
    return success;
}
// Of a file, and between cards: never called here.
CARD(cuModuleLoad, Module **, const char *) { return not_supported; }
CARD(cuMemcpyPeerAsync, void *, void *, const void *, void *, size_t, Stream *) { return not_supported; }
CARD(cuModuleUnload, Module *module) { return module->loaded = false, success; }
CARD(cuModuleGetFunction, Function **function, Module *module, const char *name)
{
    Function found = {module, name};
    found.run = (decltype(found.run))dlsym(module->library, ("run_" + found.name).c_str());
    found.sizes = (decltype(found.sizes))dlsym(module->library, ("sizes_" + found.name).c_str());
    if (!found.run) {
        fprintf(stderr, "emulated card: there is no kernel %s\n", name);
        return not_found;
    }
    return *function = new Function(found), success;
}
CARD(cuFuncGetAttribute, int *value, int, Function *) { return *value = 32, not_while_capturing("a kernel loaded"); }

CARD(cuLaunchKernel, Function *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
    unsigned threads_y, unsigned threads_z, unsigned, Stream *stream, void **arguments, void **)
{
    const unsigned other_blocks = blocks_y * blocks_z, other_threads = threads_y * threads_z;
    if (other_blocks != 1 || other_threads != 1) {
        fprintf(stderr, "emulated card: %s has more than one dimension\n", function->name.c_str());
        return not_supported;
    }
    Launch launch = {function, blocks, threads, {}};
    for (const size_t *size = function->sizes(); *size; size++) {
        const char *from = (const char *)*arguments++;
        launch.arguments.emplace_back(from, from + *size);
    }
    return give(stream, [launch] { return run(launch); });
}
