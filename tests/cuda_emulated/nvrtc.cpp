// NVRTC for an emulated card.
#include "card.h"
#include "compile.h"

#include <cstring>
#include <map>
#include <mutex>
#include <string>

enum { success = 0, compilation_failed = 6 };

struct Program {
    std::string source, made, log;
};

CARD(nvrtcVersion, int *major, int *minor) { return *major = 13, *minor = 0, success; }

CARD(nvrtcCreateProgram, Program **program, const char *source, const char *, int, const char *const *,
    const char *const *)
{
    return *program = new Program{source, {}, {}}, success;
}

CARD(nvrtcCompileProgram, Program *program, int n, const char *const *options)
{
    std::string real;
    for (int i = 0; i < n; i++) {
        if (strncmp(options[i], "-Dreal=", 7) == 0) {
            real = options[i];
        }
    }
    // Other macros only say what is left out or known before: a text is compiled once for each type.
    static std::map<std::string, std::string> known;
    static std::mutex knowing;
    const std::string all = real + program->source;
    std::string library;
    {
        std::lock_guard<std::mutex> locked(knowing);
        library = known[all];
    }
    if (library.empty()) {
        const std::string file = new_folder() + "/kernels.cu";
        write_all(file, program->source);
        const Made made = compile(file, "#include \"tensor_core.h\"\n", real);
        program->log = made.log;
        library = made.library;
        std::lock_guard<std::mutex> locked(knowing);
        known[all] = library;
    }
    program->made = library_prefix + library;
    return library.empty() ? compilation_failed : success;
}

// The kind of an emulated card is the only one.
CARD(nvrtcGetNumSupportedArchs, int *count) { return *count = 1, success; }
CARD(nvrtcGetSupportedArchs, int *kinds) { return *kinds = 90, success; }
CARD(nvrtcGetCUBINSize, Program *program, size_t *size) { return *size = program->made.size() + 1, success; }
CARD(nvrtcGetCUBIN, Program *program, char *to) { return strcpy(to, program->made.c_str()), success; }
CARD(nvrtcGetProgramLogSize, Program *program, size_t *size) { return *size = program->log.size() + 1, success; }
CARD(nvrtcGetProgramLog, Program *program, char *to) { return strcpy(to, program->log.c_str()), success; }
CARD(nvrtcDestroyProgram, Program **program) { return delete *program, success; }
