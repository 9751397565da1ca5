#include "compile.h"

#include <cstdio>
#include <cstdlib>
#include <regex>
#include <set>

const char library_prefix[] = "emulated ";

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

std::string new_folder()
{
    const char *temporary = getenv("TMPDIR");
    std::string base = std::string(temporary ? temporary : "/tmp") + "/candlelight-card-XXXXXX";
    return mkdtemp(base.data()) ? base : "";
}

Made compile(const std::string &file, const std::string &before, const std::string &flags)
{
    const char *here = getenv("CANDLELIGHT_EMULATED");
    if (!here) {
        return {"", "CANDLELIGHT_EMULATED must name tests/cuda_emulated"};
    }
    const std::string base = new_folder();
    std::string text = std::string("#include \"") + here + "/emulate.h\"\n#include <cmath>\n#include <utility>\n" + before
        + "#include \"" + file + "\"\n";
    const std::string source = base + "/kernels.cpp", library = base + "/kernels.so", log = base + "/log";
    const std::string compiler = std::string("c++ -std=c++17 -w -I") + here + " " + flags + " " + source + " 2> " + log;
    // Macros make some kernels, so their names are read where no macro is left.
    write_all(source, text);
    if (system((compiler + " -E -P -o " + base + "/plain").c_str()) != 0) {
        return {"", read_all(log)};
    }
    const std::string plain = read_all(base + "/plain");
    std::regex kernel("extern \"C\"\\s+void\\s+(\\w+)\\(");
    std::set<std::string> names;
    for (std::sregex_iterator i(plain.begin(), plain.end(), kernel), end; i != end; ++i) {
        names.insert((*i)[1]);
    }
    text += "template <class... A, size_t... I> static void call(void (*kernel)(A...), void **a, unsigned blocks,\n"
        "    unsigned threads, std::index_sequence<I...>)\n"
        "{ launch(blocks, threads, [&] { kernel(*(std::decay_t<A> *)a[I]...); }); }\n"
        "template <class... A> static void call(void (*kernel)(A...), void **a, unsigned blocks, unsigned threads)\n"
        "{ call(kernel, a, blocks, threads, std::index_sequence_for<A...>()); }\n"
        "template <class... A> static const size_t *sizes(void (*)(A...))\n"
        "{ static const size_t all[] = {sizeof(A)..., 0}; return all; }\n";
    for (const std::string &name : names) {
        text += "extern \"C\" void run_" + name + "(void **a, unsigned blocks, unsigned threads) { call(" + name
            + ", a, blocks, threads); }\nextern \"C\" const size_t *sizes_" + name + "() { return sizes(" + name + "); }\n";
    }
    write_all(source, text);
    const bool done = system((compiler + " -O2 -shared -fPIC -o " + library).c_str()) == 0;
    return {done ? library : "", read_all(log)};
}
