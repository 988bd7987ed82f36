// How long threads take that run together: ours, and plain ones.
#pragma once

#include <osthread/osthread.hpp>
#include <utility>
#include <vector>

#include "measure.hpp"

namespace benchmark {

inline osthread::OSThread suspended(const osthread::Code& code, osthread::Values arguments = {}) {
  return osthread::OSThread(code, std::move(arguments), {.suspended = true});
}

// From the start of the first to the end of the last; throws what one of them raised.
inline double microseconds_of(std::vector<osthread::OSThread> threads) {
  const Clock::time_point begin = Clock::now();
  for (osthread::OSThread& thread : threads) thread.start();
  for (osthread::OSThread& thread : threads) thread.join();
  const double took = microseconds_since(begin);
  for (const osthread::OSThread& thread : threads) thread.result();
  return took;
}

template <class Work>
double microseconds_of(const std::vector<Work>& all) {
  const Clock::time_point begin = Clock::now();
  std::vector<std::thread> threads;
  for (const Work& work : all) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return microseconds_since(begin);
}

}  // namespace benchmark
