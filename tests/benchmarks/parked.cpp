// What waiting threads cost: the CPU time of the whole process while 1,000 wait for 10,000 channels.
#include <ctime>
#include <osthread/osthread.hpp>
#include <vector>

#include "measure.hpp"

namespace {

using namespace benchmark;

constexpr int kThreads = 1000;
constexpr int kChannelsEach = 10;
constexpr const char* kWaiters[] = {"(...):receive()", "require('osthread').select(...)"};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main() {
  std::vector<osthread::Channel> channels;
  std::vector<osthread::OSThread> threads;
  for (int i = 0; i < kThreads; ++i) {
    osthread::Values own;
    for (int n = 0; n < kChannelsEach; ++n) own.emplace_back(channels.emplace_back());
    threads.emplace_back(kWaiters[i % 2], std::move(own));
  }
  for (const osthread::OSThread& thread : threads) {
    while (thread.statistics().waiting_for.empty()) settle();
  }
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double used = cpu_seconds() - before;
  for (osthread::Channel& channel : channels) channel.close();
  for (const osthread::OSThread& thread : threads) thread.result();
  print_row("Lua: CPU in 2 s of 1,000 waiting for 10,000 channels", used, "s", "<= 0.01");
}
