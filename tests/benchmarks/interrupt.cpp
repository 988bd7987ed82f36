// From interrupt() to the end of a compiled loop, on an idle machine and on a busy one.
#include <atomic>
#include <osthread/osthread.hpp>
#include <vector>

#include "floor/floor.h"
#include "measure.hpp"

namespace {

using namespace benchmark;

Samples interrupts(int times) {
  Samples samples;
  for (int i = 0; i < times; ++i) {
    osthread::OSThread thread("while true do end");
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // until it is compiled
    const Clock::time_point begin = Clock::now();
    thread.interrupt();
    thread.join();
    samples.add(microseconds_since(begin));
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) {
  const int times = rounds(argc, argv, 500);
  Samples idle = interrupts(times);
  Samples floor;
  for (int i = 0; i < times; ++i) floor.add(floor_interrupt());
  print_row("interrupt() to the end of `while true do end`: median", idle.median(), "us", "<= 100");
  print_row("interrupt() to the end of `while true do end`: median", idle.median(), "us",
            "C: a signal, and the thread's end", floor.median(), "");
  print_row("interrupt() to the end of `while true do end`: p99", idle.quantile(0.99), "us", "<= 2000");

  std::atomic<bool> done{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&done] {
      while (!done.load(std::memory_order_relaxed)) {
      }
    });
  }
  Samples busy = interrupts(times / 5);
  done.store(true);
  for (std::thread& other : others) other.join();
  print_row("the same beside 4 busy threads: median", busy.median(), "us");
  print_row("the same beside 4 busy threads: p99", busy.quantile(0.99), "us", "<= 20000");
}
