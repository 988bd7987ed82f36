// A stop where the thread is in a call of the system.
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <tlhelp32.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
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

// How many of the system's shells run.
int shells() {
  const HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
  PROCESSENTRY32 entry{};
  entry.dwSize = sizeof entry;
  int count = 0;
  for (BOOL more = Process32First(all, &entry); more; more = Process32Next(all, &entry))
    count += std::strcmp(entry.szExeFile, "cmd.exe") == 0;
  CloseHandle(all);
  return count;
}

bool shells_come_to(int count) {
  for (const auto end = std::chrono::steady_clock::now() + kPatience; shells() != count;) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// A shell that runs a shell that never ends.
constexpr const char* kEndless = "local endless = 'cmd /c \"for /L %i in (0,0,1) do @rem\"' ";

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

TEST_CASE("commands run as ever") {
  CHECK(lua("return os.execute('exit 3')").at(0).as<int>() == 3);
  CHECK(lua("return os.execute() ~= 0").at(0).as<bool>());
  const Values read =
      lua("local p = io.popen('echo one& echo two') local t = p:read('*a') return t, p:close()");
  CHECK(as_text(read.at(0)) == "one\ntwo\n");
  CHECK(read.at(1).as<bool>());
  CHECK(lua("local p = io.popen('exit 0', 'w') p:write('x') return p:close()").at(0).as<bool>());
}

TEST_CASE("a stop ends the command that a thread waits for, and what that has started") {
  const int before = shells();
  for (const char* code : {"os.execute(endless)", "io.popen(endless):read('*a')", "io.popen(endless):close()",
                           "pcall(os.execute, endless) os.execute(endless)"})
    for (const bool kills : {false, true}) {
      if (kills && !features().kill) continue;
      CAPTURE(std::string(code));
      CAPTURE(kills);
      OSThread thread(std::string(kEndless) + code, {}, {.grace = 1ms});
      CHECK(shells_come_to(before + 2));
      if (kills)
        thread.kill();
      else
        thread.interrupt();
      CHECK(thread.join_for(kPatience));
      CHECK(thread.status() == (kills ? Status::killed : Status::stopped));
      CHECK(shells_come_to(before));
    }
}

TEST_CASE("a kill closes files without writing what they have buffered") {
  if (!features().kill) return;
  char folder[MAX_PATH];
  char name[MAX_PATH];
  REQUIRE(GetTempPathA(sizeof folder, folder) != 0);
  REQUIRE(GetTempFileNameA(folder, "ost", 0, name) != 0);
  Signal written;
  OSThread thread("local f, name = ... file = io.open(name, 'w') file:write('x') f() while true do end",
                  {written.value(), std::string(name)}, {.grace = 1ms});
  written.wait();
  thread.kill();
  CHECK(thread.join_for(kPatience));
  WIN32_FILE_ATTRIBUTE_DATA data{};
  CHECK(GetFileAttributesExA(name, GetFileExInfoStandard, &data));
  CHECK(data.nFileSizeLow == 0);
  CHECK(DeleteFileA(name));  // which an open one does not let happen
}
