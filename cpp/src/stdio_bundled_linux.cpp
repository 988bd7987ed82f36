#include <cctype>
#include <cstdarg>

#include "commands.hpp"
#include "run.hpp"
#include "stdio.hpp"

using namespace osthread;
using stdio::near_the_end;
using stdio::note;

extern "C" {

std::FILE* __real_fopen64(const char* name, const char* mode);
std::FILE* __real_tmpfile64();

std::FILE* __wrap_fopen64(const char* name, const char* mode) {
  return near_the_end() ? nullptr : note(__real_fopen64(name, mode));
}
std::FILE* __wrap_tmpfile64() { return near_the_end() ? nullptr : note(__real_tmpfile64()); }

std::FILE* __wrap_popen(const char* command, const char* mode) {
  return near_the_end() ? nullptr : commands::open(command, mode);
}
int __wrap_pclose(std::FILE* file) { return commands::close(file); }

// Space before a number without end is a loop of the C library's, in which nobody looks whether it is to be
// left.
int __wrap___isoc99_fscanf(std::FILE* file, const char* format, ...) {
  int character;
  do {
    {
      const Run::Uncut uncut;
      character = std::getc(file);
    }
    Run::leave_if_asked();
  } while (character != EOF && std::isspace(character));
  if (character != EOF) std::ungetc(character, file);
  const Run::Uncut uncut;
  std::va_list arguments;
  va_start(arguments, format);
  const int result = std::vfscanf(file, format, arguments);
  va_end(arguments);
  return result;
}

}  // extern "C"
