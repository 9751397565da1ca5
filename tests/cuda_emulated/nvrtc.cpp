// NVRTC for an emulated card.
#include "card.h"
#include "compile.h"

#include <cstring>
#include <map>
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
    std::lock_guard<std::recursive_mutex> locked(card());
    static std::map<std::string, std::string> known;
    std::string &library = known[real + program->source];
    if (library.empty()) {
        const std::string file = new_folder() + "/kernels.cu";
        write_all(file, program->source);
        const Made made = compile(file, "#include \"tensor_core.h\"\n", real);
        program->log = made.log;
        library = made.library;
    }
    program->made = library_prefix + library;
    return library.empty() ? compilation_failed : success;
}

CARD(nvrtcGetPTXSize, Program *program, size_t *size) { return *size = program->made.size() + 1, success; }
CARD(nvrtcGetPTX, Program *program, char *to) { return strcpy(to, program->made.c_str()), success; }
CARD(nvrtcGetProgramLogSize, Program *program, size_t *size) { return *size = program->log.size() + 1, success; }
CARD(nvrtcGetProgramLog, Program *program, char *to) { return strcpy(to, program->log.c_str()), success; }
CARD(nvrtcDestroyProgram, Program **program) { return delete *program, success; }
