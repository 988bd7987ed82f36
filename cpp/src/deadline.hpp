// Times that can't overflow, and as numbers that an atomic holds.
#pragma once

#include <chrono>
#include <cstdint>

#include "osthread/native_thread.hpp"

namespace osthread {

// The time so much later; the end of time if that is further than the clock goes.
inline Clock::time_point time_after(Clock::time_point time, std::chrono::nanoseconds by) noexcept {
  if (by > Clock::time_point::max() - time) return Clock::time_point::max();
  return time + std::chrono::duration_cast<Clock::duration>(by);
}
inline Clock::time_point deadline_after(std::chrono::nanoseconds duration) noexcept {
  return time_after(Clock::now(), duration);
}

// The sum, or the longest duration there is.
inline std::chrono::nanoseconds sum_of(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept {
  constexpr auto kLongest = std::chrono::nanoseconds::max();
  return b > kLongest - a ? kLongest : a + b;
}

// The clock's nanoseconds. Async-signal-safe.
inline std::int64_t to_ns(Clock::time_point time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}
inline Clock::time_point at_ns(std::int64_t ns) noexcept {
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(ns)));
}
inline std::int64_t now_ns() noexcept { return to_ns(Clock::now()); }

}  // namespace osthread
