// Kernels as a library that an emulated card loads: see compile.cpp.
#pragma once

#include <string>

struct Made {
    // Empty where it does not compile.
    std::string library;
    std::string log;
};

// The kernels of a file, with what the processor lacks before them. `flags` are the compiler's.
Made compile(const std::string &file, const std::string &before, const std::string &flags);

// What is given out as compiled code: the path of a library behind this.
extern const char library_prefix[];

std::string read_all(const std::string &path);
void write_all(const std::string &path, const std::string &text);

// A folder of this call alone, below TMPDIR; empty where it cannot be made.
std::string new_folder();
