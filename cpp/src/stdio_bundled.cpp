// What LuaJIT calls of the C library to open, close and run things (the linker's --wrap), so that a state's
// files are known, and a command can be stopped.
#include <cctype>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "c_stack.h"
#include "commands.hpp"
#include "open_files.hpp"
#include "run.hpp"

namespace {

using namespace osthread;

// Files of code that runs outside of any run are closed by that code.
std::FILE* note(std::FILE* file) noexcept {
  Run* run = Run::current();
  if (!file || !run || open_files::add(file, run->vm())) return file;
  std::fclose(file);
  errno = ENOMEM;
  return nullptr;
}

// Of the C stack: the run would be left in the middle of the C library's own, which may hold a lock.
bool near_the_end() noexcept {
  if (!osthread_near_stack_end(__builtin_frame_address(0), OSTHREAD_C_STACK_RESERVE)) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {

std::FILE* __real_fopen(const char* name, const char* mode);
std::FILE* __real_fopen64(const char* name, const char* mode);
std::FILE* __real_tmpfile();
std::FILE* __real_tmpfile64();
int __real_fclose(std::FILE* file);
int __real_fflush(std::FILE* file);
std::size_t __real_fwrite(const void* from, std::size_t size, std::size_t count, std::FILE* file);
char* __real_fgets(char* to, int size, std::FILE* file);
std::size_t __real_fread(void* to, std::size_t size, std::size_t count, std::FILE* file);

std::FILE* __wrap_fopen(const char* name, const char* mode) {
  return near_the_end() ? nullptr : note(__real_fopen(name, mode));
}
std::FILE* __wrap_fopen64(const char* name, const char* mode) {
  return near_the_end() ? nullptr : note(__real_fopen64(name, mode));
}
std::FILE* __wrap_tmpfile() { return near_the_end() ? nullptr : note(__real_tmpfile()); }
std::FILE* __wrap_tmpfile64() { return near_the_end() ? nullptr : note(__real_tmpfile64()); }

int __wrap_fclose(std::FILE* file) {
  const Run::Uncut uncut;
  (void)open_files::remove(file);
  return __real_fclose(file);
}

// Not all files (before a command is opened): another thread may be reading one of them, and hold it locked
// for as long. Standard output alone is shared with commands.
int __wrap_fflush(std::FILE* file) {
  const Run::Uncut uncut;
  return __real_fflush(file ? file : stdout);
}
std::size_t __wrap_fwrite(const void* from, std::size_t size, std::size_t count, std::FILE* file) {
  const Run::Uncut uncut;
  return __real_fwrite(from, size, count, file);
}

// Reading of what has no end (/dev/zero has not one line) is a loop in which LuaJIT's own text is hardly
// ever.
char* __wrap_fgets(char* to, int size, std::FILE* file) {
  char* result;
  {
    const Run::Uncut uncut;
    result = __real_fgets(to, size, file);
  }
  Run::leave_if_asked();
  return result;
}
std::size_t __wrap_fread(void* to, std::size_t size, std::size_t count, std::FILE* file) {
  std::size_t result;
  {
    const Run::Uncut uncut;
    result = __real_fread(to, size, count, file);
  }
  Run::leave_if_asked();
  return result;
}
// The same for space before a number, which the C library skips by itself.
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

int __wrap_system(const char* command) { return near_the_end() ? -1 : commands::run(command); }
std::FILE* __wrap_popen(const char* command, const char* mode) {
  return near_the_end() ? nullptr : commands::open(command, mode);
}
int __wrap_pclose(std::FILE* file) { return commands::close(file); }

}  // extern "C"
