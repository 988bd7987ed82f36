// A stop where the thread is in a call of the system.
#include <windows.h>

#include <fcntl.h>
#include <io.h>

#include <cstdint>
#include <cstdio>
#include <thread>

#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// A pipe that nobody writes to or reads from.
struct Pipe {
  HANDLE read = nullptr;
  HANDLE write = nullptr;
  Pipe() { REQUIRE(CreatePipe(&read, &write, nullptr, 4096)); }
  ~Pipe() {
    CloseHandle(read);
    CloseHandle(write);
  }
};

// Puts the pipe in the place of standard output.
class Redirected {
 public:
  explicit Redirected(const Pipe& pipe) {
    std::fflush(stdout);
    HANDLE end = nullptr;
    DuplicateHandle(GetCurrentProcess(), pipe.write, GetCurrentProcess(), &end, 0, FALSE,
                    DUPLICATE_SAME_ACCESS);
    const int fd = _open_osfhandle(reinterpret_cast<std::intptr_t>(end), _O_BINARY);
    _dup2(fd, _fileno(stdout));
    _close(fd);
  }
  ~Redirected() {
    _dup2(before_, _fileno(stdout));
    _close(before_);
  }

 private:
  const int before_ = _dup(_fileno(stdout));
};

}  // namespace

TEST_CASE("an interrupt makes a blocking system call return") {
  const Pipe pipe;
  Signal started;
  OSThread thread(
      "local f, handle = ... local ffi = require 'ffi'\n"
      "ffi.cdef 'int ReadFile(void *file, void *to, unsigned size, unsigned *read, void *overlapped);'\n"
      "local to, read = ffi.new 'char[1]', ffi.new 'unsigned[1]'\n"
      "f() while true do ffi.C.ReadFile(ffi.cast('void *', handle), to, 1, read, nil) end",
      {started.value(), reinterpret_cast<std::intptr_t>(pipe.read)}, {.grace = 1ms});
  started.wait();
  std::this_thread::sleep_for(20ms);
  thread.interrupt();
  CHECK(thread.join_for(kPatience));
  CHECK(thread.status() == Status::stopped);
}

TEST_CASE("an interrupt of a print that blocks is a stop, no error of standard output") {
  const Pipe pipe;
  Signal started;
  OSThread thread(
      "local f, line = ... local o = require 'osthread' local ok, e\n"
      "f() repeat ok, e = pcall(print, line) until not ok\n"
      "return o.is_stopped(e)",
      {started.value(), std::string(8192, 'x')}, {.suspended = true, .grace = 30s});
  {
    const Redirected redirected(pipe);
    thread.start();
    started.wait();
    std::this_thread::sleep_for(20ms);
    thread.interrupt();
    (void)thread.join_for(kPatience);
  }
  CHECK(thread.result().at(0).as<bool>());
}

TEST_CASE("to ask a print that blocks where it is takes nothing of what it writes") {
  const Pipe pipe;
  Signal started;
  const std::size_t size = 20'000;
  OSThread thread("local f, text = ... f() io.write(text)", {started.value(), std::string(size, 'x')},
                  {.suspended = true});
  std::size_t count = 0;
  {
    const Redirected redirected(pipe);
    thread.start();
    started.wait();
    std::this_thread::sleep_for(20ms);
    (void)thread.stack();
    for (bool ended = false; !ended;) {
      ended = thread.join_for(1ms);
      char buffer[4096];
      DWORD ready = 0;
      DWORD read = 0;
      while (PeekNamedPipe(pipe.read, nullptr, 0, nullptr, &ready, nullptr) && ready > 0 &&
             ReadFile(pipe.read, buffer, sizeof buffer, &read, nullptr))
        count += read;
    }
  }
  CHECK(thread.status() == Status::finished);
  CHECK(count == size);
}
