#include "commands.hpp"
#include "stdio.hpp"

using namespace osthread;

namespace {

std::FILE* open_command(const char* command, const char* mode) {
  return stdio::near_the_end() ? nullptr : commands::open(command, mode);
}

}  // namespace

// Imported functions are called through these pointers.
extern "C" {

std::FILE* (*__wrap___imp__popen)(const char*, const char*) = open_command;
int (*__wrap___imp__pclose)(std::FILE*) = commands::close;

}  // extern "C"
