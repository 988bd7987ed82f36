// From kill() to the end of what only a kill ends, and the memory that is left of thousands of them. No peer
// can do it; the floor is the end of a process (interrupt-python).
#include <fstream>
#include <osthread/osthread.hpp>

#include "measure.hpp"

namespace {

using namespace benchmark;

constexpr const char* kHostile[] = {
    "while true do end",
    "return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')",
    "getmetatable(newproxy(true)).__gc = function() while true do end end collectgarbage()",
    "local t = {} while true do t[#t + 1] = {} if #t > 1e5 then t = {} end end",
    "while true do local s = ('x'):rep(2^20) end",
    "while true do pcall(error, 'x') end",
    "local ffi = require 'ffi' ffi.cdef 'int usleep(unsigned);' while true do ffi.C.usleep(10) end",
    "require('osthread').sleep(1000)",
};

double kill_one(int number, std::chrono::microseconds after) {
  osthread::OSThread thread(kHostile[static_cast<std::size_t>(number) % std::size(kHostile)]);
  std::this_thread::sleep_for(after);
  const Clock::time_point begin = Clock::now();
  thread.kill();
  thread.join();
  return microseconds_since(begin);
}

double resident_kib() {
  double pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * 4;
}

}  // namespace

int main(int argc, char** argv) {
  const int times = rounds(argc, argv, 800);
  Samples samples;
  for (int i = 0; i < times; ++i) samples.add(kill_one(i, std::chrono::microseconds(1000 + i * 37 % 3000)));
  print_row("kill() to the end, 8 hostile scripts: median", samples.median(), "us", "<= 1000");
  print_row("kill() to the end, 8 hostile scripts: worst", samples.quantile(1), "us", "<= 50000");

  const int many = times < 800 ? 200 : 10000;
  double after_a_tenth = 0;
  for (int i = 1; i <= many; ++i) {
    kill_one(i, std::chrono::microseconds(100));
    if (i == many / 10) after_a_tenth = resident_kib();
  }
  print_row("resident memory after 10,000 kills, less that after 1,000", resident_kib() - after_a_tenth,
            "KiB", "<= 2048");
}
