// Strings and tables from a Lua thread to another: each arrives as a copy.
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <osthread/osthread.hpp>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "run.hpp"

namespace {

using namespace benchmark;
using osthread::Channel;

// The first and the last thread mark when the parcels begin and when the last is there: what comes before and
// after is not their price.
using Mark = Channel;

double microseconds_between(const Mark& mark, const std::vector<osthread::OSThread>& threads) {
  Mark marks = mark;
  marks.receive();
  const Clock::time_point begin = Clock::now();
  marks.receive();
  const double took = microseconds_since(begin);
  for (const osthread::OSThread& thread : threads) thread.result();
  return took;
}

// Different strings, and so many that the receiver's collector has taken one before it comes again: a state
// that still holds an equal string would neither allocate nor copy.
constexpr const char* kSendStrings = R"(
  local mark, channel, count, size, different = ...
  local strings = {}
  for i = 1, different do strings[i] = ('x'):rep(size - 8) .. ('%08d'):format(i) end
  mark:send(true)
  for i = 1, count do channel:send(strings[i % different + 1]) end)";
constexpr const char* kMakeTable = R"(
  local mark, channel, count, size = ...
  local t = {}
  for i = 1, size do t[i] = i + 0.5 end
  mark:send(true)
)";
constexpr const char* kSendTables = "for _ = 1, count do channel:send(t) end";
constexpr const char* kReceive = R"(
  local mark, channel, count, size = ...
  local last
  for _ = 1, count do last = channel:receive() end
  mark:send(true)
  assert(#last == size))";
constexpr const char* kBufferTables = R"(
  local buffer = require 'string.buffer'
  for _ = 1, count do t = buffer.decode(buffer.encode(t)) end
  mark:send(true)
  assert(#t == size))";

// What LuaJIT takes to make as many different strings, and to collect them, without anybody who sends.
constexpr const char* kMakeStrings = R"(
  local mark, _, count, size = ...
  local ffi = require 'ffi'
  local bytes = ffi.new('char[?]', size)
  local changing = ffi.cast('int *', bytes + size - 4)
  local last
  mark:send(true)
  for i = 1, count do
    changing[0] = i
    last = ffi.string(bytes, size)
  end
  mark:send(true)
  assert(#last == size))";

struct Parcels {
  int count;
  int size;
  std::size_t capacity;
};

// Microseconds for each.
double carried(const std::string& sender, const Parcels& parcels, int different = 0) {
  const Mark mark;
  const Channel channel(parcels.capacity);
  std::vector<osthread::OSThread> threads;
  threads.emplace_back(kReceive, osthread::Values{mark, channel, parcels.count, parcels.size});
  threads.emplace_back(sender, osthread::Values{mark, channel, parcels.count, parcels.size, different});
  return microseconds_between(mark, threads) / parcels.count;
}

// By one thread that sends nothing.
double made(const std::string& maker, const Parcels& parcels) {
  const Mark mark;
  std::vector<osthread::OSThread> threads;
  threads.emplace_back(maker, osthread::Values{mark, nullptr, parcels.count, parcels.size});
  return microseconds_between(mark, threads) / parcels.count;
}

// Not inlined: the compiler would leave out a copy that nobody reads.
[[gnu::noinline]] char* copy_of(const char* from, std::size_t size) {
  char* to = static_cast<char*>(std::malloc(size));
  if (!to) std::abort();
  std::memcpy(to, from, size);
  return to;
}

// Whether malloc()'s memory is fresh hangs on what was freed before.
char* fresh_copy_of(const char* from, std::size_t size) {
  void* to = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (to == MAP_FAILED) std::abort();
  std::memcpy(to, from, size);
  return static_cast<char*>(to);
}

// The least that a copy for the way and one for the receiver cost, both into fresh memory.
double copied_twice(const Parcels& parcels, int different) {
  const auto size = static_cast<std::size_t>(parcels.size);
  const std::vector<char> strings(size * static_cast<std::size_t>(different), 'x');
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < parcels.count; ++i) {
    char* on_the_way = fresh_copy_of(&strings[size * static_cast<std::size_t>(i % different)], size);
    char* received = fresh_copy_of(on_the_way, size);
    munmap(on_the_way, size);
    munmap(received, size);
  }
  return microseconds_since(begin) / parcels.count;
}

// What two threads of C++ can carry: a fresh copy of each through a ring, by nothing but two counters, and a
// copy of that. Millions a second.
double carried_in_cpp(const Parcels& parcels, int different) {
  const auto size = static_cast<std::size_t>(parcels.size);
  const auto count = static_cast<std::size_t>(parcels.count);
  const std::vector<char> strings(size * static_cast<std::size_t>(different), 'x');
  std::vector<char*> ring(parcels.capacity);
  std::atomic<std::size_t> sent{0}, received{0};
  const Clock::time_point begin = Clock::now();
  std::thread sender([&] {
    for (std::size_t i = 0; i < count; ++i) {
      while (i - received.load(std::memory_order_acquire) >= ring.size()) std::this_thread::yield();
      ring[i % ring.size()] = copy_of(&strings[size * (i % static_cast<std::size_t>(different))], size);
      sent.store(i + 1, std::memory_order_release);
    }
  });
  for (std::size_t i = 0; i < count; ++i) {
    while (sent.load(std::memory_order_acquire) <= i) std::this_thread::yield();
    char* const on_the_way = ring[i % ring.size()];
    std::free(copy_of(on_the_way, size));
    std::free(on_the_way);
    received.store(i + 1, std::memory_order_release);
  }
  sender.join();
  return parcels.count / microseconds_since(begin);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr Parcels kShort{.count = 200'000, .size = 1 << 10, .capacity = 1024};
  constexpr Parcels kLong{.count = 256, .size = 1 << 20, .capacity = 16};
  constexpr Parcels kTables{.count = 500, .size = 10'000, .capacity = 16};
  Samples millions_of_short, millions_in_cpp, millions_made, long_ones, twice, tables, buffer;
  const int times = rounds(argc, argv, 11);
  for (int i = 0; i < times; ++i) {
    millions_of_short.add(1 / carried(kSendStrings, kShort, 4096));
    millions_in_cpp.add(carried_in_cpp(kShort, 4096));
    millions_made.add(1 / made(kMakeStrings, kShort));
    long_ones.add(carried(kSendStrings, kLong, 64));
    twice.add(copied_twice(kLong, 64));
    tables.add(carried(std::string(kMakeTable) + kSendTables, kTables));
    buffer.add(made(std::string(kMakeTable) + kBufferTables, kTables));
  }
  print_row("Lua: strings of 1 KiB", millions_of_short.median(), "M/s", ">= 2");
  print_row("Lua: strings of 1 KiB", millions_of_short.median(), "M/s", "C++: malloc, a ring, malloc",
            millions_in_cpp.median(), "");
  print_row("Lua: strings of 1 KiB", millions_of_short.median(), "M/s", "LuaJIT making them, one thread",
            millions_made.median(), "");
  print_row("Lua: a string of 1 MiB", long_ones.median(), "us", "C++: memcpy into fresh memory, twice",
            twice.median(), "<= 2");
  print_row("Lua: a table of 10,000 numbers", tables.median(), "us", "string.buffer in one thread",
            buffer.median(), "<= 1.5");
}
