// A CUDA card on the processor: the driver's functions, NVRTC's, and of cuBLAS and cuRAND those that open a device. For a
// program built with the feature cuda, on a machine without a card; see card.sh, which loads it before CUDA's libraries.
//
// Every call is done when it returns. Kernels given to NVRTC are compiled as C++ and run with emulate.h; candle's own,
// which come as PTX, are not here, and say so, but for its copy of rows. What a capture may not do is an error, and so is a graph whose code was
// unloaded.
#include "card.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace {

enum Result {
    success = 0,
    invalid_value = 1,
    not_found = 500,
    not_supported = 801,
    capture_unsupported = 900,
    capture_unjoined = 904,
    stream_capturing = 905,
};

struct Module {
    // Null for candle's.
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

struct Event {
    Stream *of = nullptr;
    size_t launches = 0;
};

// As many as a test asks for.
int cards()
{
    const char *asked = getenv("CANDLELIGHT_EMULATED_CARDS");
    return asked ? atoi(asked) : 1;
}

// The device's number and 1, of each thread.
thread_local void *current = nullptr;

// The stream that is captured: one at a time; and those that joined it.
Stream *captured = nullptr;
std::set<Stream *> forked;

int not_while_capturing(const char *what)
{
    if (!captured) {
        return success;
    }
    fprintf(stderr, "emulated card: %s while a stream is captured\n", what);
    return capture_unsupported;
}

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
CARD(cuDevicePrimaryCtxRetain, void **context, int device) { return *context = (void *)(device + 1l), success; }
CARD(cuDevicePrimaryCtxRelease_v2, int) { return success; }
CARD(cuCtxDestroy_v2, void *) { return success; }
CARD(cuCtxGetCurrent, void **context) { return *context = current, success; }
CARD(cuCtxSetCurrent, void *context) { return current = context, success; }
CARD(cuCtxSynchronize) { return not_while_capturing("a wait for the context"); }
CARD(cuGetErrorString, int error, const char **text)
{
    return *text = error == not_supported ? "not on an emulated card" : "an emulated card's error", success;
}
CARD(cuGetErrorName, int, const char **text) { return *text = "EMULATED_CARD", success; }

CARD(cuStreamCreate, Stream **stream, unsigned) { return *stream = new Stream, success; }
CARD(cuStreamDestroy_v2, Stream *stream) { return delete stream, success; }
CARD(cuStreamSynchronize, Stream *) { return not_while_capturing("a wait for a stream"); }
CARD(cuStreamWaitEvent, Stream *stream, Event *event, unsigned)
{
    if (!captured) {
        return success;
    }
    if (!event->of || !event->of->capturing) {
        return not_while_capturing("a wait for an event from outside");
    }
    if (stream == captured) {
        event->of->joined = event->launches;
    } else {
        stream->capturing = captured->capturing;
        forked.insert(stream);
    }
    return success;
}
CARD(cuStreamIsCapturing, Stream *stream, int *status) { return *status = stream->capturing != nullptr, success; }
CARD(cuEventCreate, Event **event, unsigned) { return *event = new Event, success; }
CARD(cuEventDestroy_v2, Event *event) { return delete event, success; }
CARD(cuEventRecord, Event *event, Stream *stream)
{
    if (captured && !stream->capturing) {
        return not_while_capturing("an event of another stream");
    }
    return *event = captured ? Event{stream, stream->last} : Event{}, success;
}
CARD(cuEventSynchronize, Event *) { return not_while_capturing("a wait for an event"); }
CARD(cuEventQuery, Event *) { return success; }

CARD(cuMemAllocAsync, void **memory, size_t bytes, Stream *)
{
    // Not zeros: what is not written must not look as if it were.
    *memory = malloc(bytes ? bytes : 1);
    memset(*memory, 0xa5, bytes);
    return not_while_capturing("memory taken");
}
CARD(cuMemAlloc_v2, void **memory, size_t bytes) { return cuMemAllocAsync(memory, bytes, nullptr); }
CARD(cuMemFreeAsync, void *memory, Stream *) { return free(memory), not_while_capturing("memory given back"); }
CARD(cuMemFree_v2, void *memory) { return cuMemFreeAsync(memory, nullptr); }
CARD(cuMemHostAlloc, void **memory, size_t bytes, unsigned) { return *memory = malloc(bytes ? bytes : 1), success; }
CARD(cuMemFreeHost, void *memory) { return free(memory), success; }
CARD(cuMemsetD8Async, void *to, unsigned char value, size_t bytes, Stream *)
{
    return memset(to, value, bytes), not_while_capturing("memory set");
}
CARD(cuMemcpyHtoDAsync_v2, void *to, const void *from, size_t bytes, Stream *)
{
    return memcpy(to, from, bytes), not_while_capturing("a copy");
}
CARD(cuMemcpyDtoHAsync_v2, void *to, const void *from, size_t bytes, Stream *)
{
    return memcpy(to, from, bytes), not_while_capturing("a copy");
}
CARD(cuMemcpyDtoDAsync_v2, void *to, const void *from, size_t bytes, Stream *)
{
    return memcpy(to, from, bytes), not_while_capturing("a copy");
}

// What nvrtcGetPTX gives is the path of a library.
static const char *const library_prefix = "emulated ";

CARD(cuModuleLoadData, Module **module, const char *image)
{
    if (int error = not_while_capturing("a module loaded")) {
        return error;
    }
    *module = new Module;
    if (strncmp(image, library_prefix, strlen(library_prefix)) == 0) {
        (*module)->library = dlopen(image + strlen(library_prefix), RTLD_NOW | RTLD_LOCAL);
        if (!(*module)->library) {
            fprintf(stderr, "emulated card: %s\n", dlerror());
            return not_found;
        }
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
    if (module->library) {
        found.run = (decltype(found.run))dlsym(module->library, ("run_" + found.name).c_str());
        found.sizes = (decltype(found.sizes))dlsym(module->library, ("sizes_" + found.name).c_str());
        if (!found.run) {
            return not_found;
        }
    }
    return *function = new Function(found), success;
}
CARD(cuFuncGetAttribute, int *value, int, Function *) { return *value = 32, not_while_capturing("a kernel loaded"); }

namespace {

// candle's kernel that copies rows: from, to, how many, how long, how far apart there and here.
bool copies(const std::string &kernel, void **arguments)
{
    const std::map<std::string, size_t> sizes = {{"copy2d_f32", 4}, {"copy2d_f64", 8}};
    auto found = sizes.find(kernel);
    if (found == sizes.end()) {
        return false;
    }
    const size_t size = found->second;
    auto address = [&](int i) { return *(char **)arguments[i]; };
    auto number = [&](int i) { return (size_t) * (uint32_t *)arguments[i]; };
    for (size_t row = 0; row < number(2); row++) {
        memcpy(address(1) + row * number(5) * size, address(0) + row * number(4) * size, number(3) * size);
    }
    return true;
}

} // namespace

CARD(cuLaunchKernel, Function *function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
    unsigned, Stream *stream, void **arguments, void **)
{
    if (copies(function->name, arguments)) {
        return not_while_capturing("candle's copy");
    }
    if (!function->run) {
        fprintf(stderr, "emulated card: candle's kernel %s is not here\n", function->name.c_str());
        return not_supported;
    }
    Launch launch = {function, blocks, threads, {}};
    for (const size_t *size = function->sizes(); *size; size++) {
        const char *from = (const char *)*arguments++;
        launch.arguments.emplace_back(from, from + *size);
    }
    return do_or_capture(stream, [launch] { return run(launch); });
}

CARD(cuStreamBeginCapture_v2, Stream *stream, int)
{
    if (captured) {
        return stream_capturing;
    }
    captured = stream;
    return stream->capturing = new Graph, success;
}
CARD(cuStreamEndCapture, Stream *stream, Graph **graph)
{
    *graph = stream->capturing;
    captured = nullptr;
    stream->capturing = nullptr;
    int error = success;
    for (Stream *other : forked) {
        if (other->joined < other->last) {
            fprintf(stderr, "emulated card: a capture ends before what it forked\n");
            error = capture_unjoined;
        }
        *other = Stream();
    }
    forked.clear();
    return error;
}
CARD(cuGraphInstantiateWithFlags, Graph **ready, Graph *graph, unsigned long long)
{
    return *ready = new Graph(*graph), success;
}
CARD(cuGraphUpload, Graph *, Stream *) { return success; }
CARD(cuGraphLaunch, Graph *graph, Stream *)
{
    for (auto &node : graph->nodes) {
        if (int error = node()) {
            return error;
        }
    }
    return success;
}
CARD(cuGraphExecDestroy, Graph *graph) { return delete graph, success; }
CARD(cuGraphDestroy, Graph *graph) { return delete graph, success; }

// NVRTC.

namespace {

struct Program {
    std::string source, made, log;
};

std::string read_all(const std::string &path)
{
    std::string text;
    if (FILE *file = fopen(path.c_str(), "r")) {
        for (int c; (c = fgetc(file)) != EOF;) {
            text += c;
        }
        fclose(file);
    }
    return text;
}

void write_all(const std::string &path, const std::string &text)
{
    if (FILE *file = fopen(path.c_str(), "w")) {
        fwrite(text.data(), 1, text.size(), file);
        fclose(file);
    }
}

} // namespace

CARD(nvrtcCreateProgram, Program **program, const char *source, const char *, int, const char *const *,
    const char *const *)
{
    return *program = new Program{source, {}, {}}, success;
}

CARD(nvrtcCompileProgram, Program *program, int n, const char *const *options)
{
    const char *here = getenv("CANDLELIGHT_EMULATED");
    if (!here) {
        program->log = "CANDLELIGHT_EMULATED must name tests/cuda_emulated";
        return 6;
    }
    const char *temporary = getenv("TMPDIR");
    std::string base = std::string(temporary ? temporary : "/tmp") + "/candlelight-card-XXXXXX", real;
    if (!mkdtemp(base.data())) {
        return 1;
    }
    for (int i = 0; i < n; i++) {
        if (strncmp(options[i], "-Dreal=", 7) == 0) {
            real = options[i];
        }
    }
    write_all(base + "/kernels.cu", program->source);
    // Macros make some kernels, so their names are read off what is left of the source without macros.
    std::string names = "c++ -std=c++17 -E -P -DEMULATED " + real + " -x c++ " + base + "/kernels.cu > " + base + "/plain";
    if (system(names.c_str()) != 0) {
        return 6;
    }
    std::string plain = read_all(base + "/plain");
    std::string text = std::string("#include \"") + here + "/emulate.h\"\n#include <cmath>\n#include <utility>\n#include \""
        + here + "/tensor_core.h\"\n#include \"kernels.cu\"\n"
        "template <class... A, size_t... I> static void call(void (*kernel)(A...), void **a, unsigned blocks,\n"
        "    unsigned threads, std::index_sequence<I...>)\n"
        "{ launch(blocks, threads, [&] { kernel(*(std::decay_t<A> *)a[I]...); }); }\n"
        "template <class... A> static void call(void (*kernel)(A...), void **a, unsigned blocks, unsigned threads)\n"
        "{ call(kernel, a, blocks, threads, std::index_sequence_for<A...>()); }\n"
        "template <class... A> static const size_t *sizes(void (*)(A...))\n"
        "{ static const size_t all[] = {sizeof(A)..., 0}; return all; }\n";
    std::regex kernel("extern \"C\" __global__ void (?:__launch_bounds__\\([^)]*\\) )?(\\w+)\\(");
    std::set<std::string> found;
    for (std::sregex_iterator i(plain.begin(), plain.end(), kernel), end; i != end; ++i) {
        found.insert((*i)[1]);
    }
    for (const std::string &name : found) {
        text += "extern \"C\" void run_" + name + "(void **a, unsigned blocks, unsigned threads) { call(" + name
            + ", a, blocks, threads); }\nextern \"C\" const size_t *sizes_" + name + "() { return sizes(" + name + "); }\n";
    }
    write_all(base + "/kernels.cpp", text);
    std::string compile = "c++ -std=c++17 -O2 -w -shared -fPIC " + real + " " + base + "/kernels.cpp -o " + base
        + "/kernels.so 2> " + base + "/log";
    const bool done = system(compile.c_str()) == 0;
    program->log = read_all(base + "/log");
    program->made = library_prefix + base + "/kernels.so";
    return done ? success : 6;
}

CARD(nvrtcGetPTXSize, Program *program, size_t *size) { return *size = program->made.size() + 1, success; }
CARD(nvrtcGetPTX, Program *program, char *to) { return strcpy(to, program->made.c_str()), success; }
CARD(nvrtcGetProgramLogSize, Program *program, size_t *size) { return *size = program->log.size() + 1, success; }
CARD(nvrtcGetProgramLog, Program *program, char *to) { return strcpy(to, program->log.c_str()), success; }
CARD(nvrtcDestroyProgram, Program **program) { return delete *program, success; }

// What opens a device, and does nothing there.

CARD(cublasCreate_v2, void **handle) { return *handle = malloc(1), success; }
CARD(cublasDestroy_v2, void *handle) { return free(handle), success; }
CARD(cublasSetStream_v2, void *, void *) { return success; }
CARD(curandCreateGenerator, void **generator, int) { return *generator = malloc(1), success; }
CARD(curandDestroyGenerator, void *generator) { return free(generator), success; }
CARD(curandSetPseudoRandomGeneratorSeed, void *, unsigned long long) { return success; }
CARD(curandSetStream, void *, void *) { return success; }
