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

}  // namespace osthread
