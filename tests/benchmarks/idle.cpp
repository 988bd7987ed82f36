// The resident memory of a thread that sleeps.
#include <unistd.h>

#include <fstream>
#include <osthread/osthread.hpp>
#include <vector>

#include "floor/floor.h"
#include "measure.hpp"

namespace {

using namespace benchmark;

constexpr int kThreads = 500;

double resident_kib() {
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

std::vector<osthread::OSThread> sleepers(int count) {
  std::vector<osthread::OSThread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back("require('osthread').sleep(1e9)", osthread::Values{},
                         osthread::ThreadOptions{.on_exit = osthread::OnExit::terminate, .grace = {}});
  }
  for (const osthread::OSThread& thread : threads) {
    while (thread.statistics().waiting_for.empty()) settle();
  }
  return threads;
}

}  // namespace

int main() {
  { const auto first = sleepers(4); }  // what the process needs once
  settle();
  double before = resident_kib();
  const auto threads = sleepers(kThreads);
  const double ours = (resident_kib() - before) / kThreads;
  before = resident_kib();
  floor_sleepers(kThreads);
  const double floor = (resident_kib() - before) / kThreads;
  print_row("An idle thread, resident", ours, "KiB", "<= 80");
  print_row("An idle thread, beside the floor", ours, "KiB", "C floor", floor, "");
  std::_Exit(0);  // the floor's threads sleep for ever
}
