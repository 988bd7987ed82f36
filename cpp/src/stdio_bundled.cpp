// What LuaJIT calls of the C library to open, close and run things (the linker's --wrap), so that a state's
// files are known, and a command can be stopped. What is called by a name of its own on some system is in
// that system's file.
#include <cerrno>
#include <cstdio>

#include "c_stack.h"
#include "commands.hpp"
#include "open_files.hpp"
#include "run.hpp"
#include "stdio.hpp"

namespace osthread::stdio {

// Files of code that runs outside of any run are closed by that code.
std::FILE* note(std::FILE* file) noexcept {
  Run* run = Run::current();
  if (!file || !run || open_files::add(file, run->vm())) return file;
  std::fclose(file);
  errno = ENOMEM;
  return nullptr;
}

bool near_the_end() noexcept {
  if (!osthread_near_stack_end(__builtin_frame_address(0), OSTHREAD_C_STACK_RESERVE)) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace osthread::stdio

extern "C" {

using namespace osthread;
using stdio::near_the_end;
using stdio::note;

std::FILE* __real_fopen(const char* name, const char* mode);
std::FILE* __real_tmpfile();
int __real_fclose(std::FILE* file);
int __real_fflush(std::FILE* file);
std::size_t __real_fwrite(const void* from, std::size_t size, std::size_t count, std::FILE* file);
char* __real_fgets(char* to, int size, std::FILE* file);
std::size_t __real_fread(void* to, std::size_t size, std::size_t count, std::FILE* file);

std::FILE* __wrap_fopen(const char* name, const char* mode) {
  return near_the_end() ? nullptr : note(__real_fopen(name, mode));
}
std::FILE* __wrap_tmpfile() { return near_the_end() ? nullptr : note(__real_tmpfile()); }

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

int __wrap_system(const char* command) { return near_the_end() ? -1 : commands::run(command); }

}  // extern "C"
