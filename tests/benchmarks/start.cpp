// From the start of a thread to the result of an empty chunk; and 1,000 started, then joined.
#include <osthread/osthread.hpp>
#include <vector>

#include "floor/floor.h"
#include "measure.hpp"

namespace {

using namespace benchmark;

constexpr const char* kCode = "return 1";
constexpr int kBurst = 1000;

double start() {
  const Clock::time_point begin = Clock::now();
  const osthread::OSThread thread(kCode);
  thread.result();
  return microseconds_since(begin);
}

// Every state that may be prepared is taken by somebody else first: by LuaStates, which leave none behind.
double start_unprepared() {
  std::vector<osthread::LuaState> holders(2 * std::max(1u, std::thread::hardware_concurrency()));
  return start();
}

double burst() {
  const Clock::time_point begin = Clock::now();
  std::vector<osthread::OSThread> threads;
  for (int i = 0; i < kBurst; ++i) threads.emplace_back(kCode);
  for (osthread::OSThread& thread : threads) thread.join();
  return microseconds_since(begin);
}

double per_second(double microseconds) { return kBurst * 1e6 / microseconds; }

}  // namespace

int main(int argc, char** argv) {
  const int times = rounds(argc, argv, 2000);
  Samples prepared, unprepared, floor, ours_at_once, floor_at_once, bursts, floor_bursts;
  for (int i = 0; i < times; ++i) {
    settle();
    prepared.add(start());
    settle();
    floor.add(floor_start(kCode));
    settle();
    unprepared.add(start_unprepared());
  }
  for (int round = 0; round < 10; ++round) {
    settle();
    for (int i = 0; i < times / 10; ++i) ours_at_once.add(start());
    settle();
    for (int i = 0; i < times / 10; ++i) floor_at_once.add(floor_start(kCode));
  }
  for (int round = 0; round < 11; ++round) {
    settle();
    bursts.add(per_second(burst()));
    settle();
    floor_bursts.add(per_second(floor_burst(kBurst, kCode)));
  }
  const char* peer = "C floor";
  print_row("C++: start to result", prepared.median(), "us", peer, floor.median(), "<= 0.65");
  print_row("C++: no prepared state left", unprepared.median(), "us", peer, floor.median(), "<= 1.05");
  print_row("C++: one straight after the other", ours_at_once.median(), "us", peer, floor_at_once.median(),
            "<= 0.65");
  print_row("C++: 1,000 started, then joined", bursts.median(), "/s", peer, floor_bursts.median(), ">= 1");
}
