// Deadlines that can't overflow.
#pragma once

#include <chrono>

#include "osthread/native_thread.hpp"

namespace osthread {

// The time so far from now; the end of time if that is further than the clock goes.
inline Clock::time_point deadline_after(std::chrono::nanoseconds duration) noexcept {
  const Clock::time_point now = Clock::now();
  if (duration > Clock::time_point::max() - now) return Clock::time_point::max();
  return now + std::chrono::duration_cast<Clock::duration>(duration);
}

// The sum, or the longest duration there is.
inline std::chrono::nanoseconds sum_of(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept {
  constexpr auto kLongest = std::chrono::nanoseconds::max();
  return b > kLongest - a ? kLongest : a + b;
}

}  // namespace osthread
