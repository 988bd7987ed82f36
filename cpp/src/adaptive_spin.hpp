// Looking for something on the CPU for a few microseconds before a thread sleeps: less where that has not
// paid lately, and now and then for 50, which is how long a sleeping partner takes to answer. Never where the
// process has a single CPU.
//
// Thread safety: any number of threads may spin at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "osthread/native_thread.hpp"

namespace osthread {

// How many the process had when the library was loaded.
std::size_t usable_cpus() noexcept;
inline bool has_several_cpus() noexcept { return usable_cpus() > 1; }

// Tells the CPU that this is a spin: saves power, and gives a sibling hyperthread its turn.
inline void relax_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  // `yield` does nothing on most cores; this takes about as long as x86's pause.
  asm volatile("isb");
#endif
}

class AdaptiveSpin {
 public:
  // Whether found() came true.
  template <class Found>
  bool until(Found found, std::optional<Clock::time_point> deadline) noexcept {
    using std::chrono::duration_cast;
    using std::chrono::nanoseconds;
    if (!has_several_cpus()) return false;
    const Clock::time_point begin = Clock::now();
    if (deadline && *deadline <= begin) return false;

    const std::int64_t estimate = nanoseconds_.load(std::memory_order_relaxed);
    const bool probe = spins_.fetch_add(1, std::memory_order_relaxed) % kProbeEvery == 0;
    std::int64_t limit = probe ? kProbe : estimate;
    if (deadline && *deadline < begin + nanoseconds(limit))
      limit = duration_cast<nanoseconds>(*deadline - begin).count();

    std::int64_t elapsed = 0;
    bool is_found = false;
    while (!is_found && elapsed < limit) {
      for (int look = 0; look < kLooksPerClockReading && !is_found; ++look) {
        relax_cpu();
        is_found = found();
      }
      elapsed = duration_cast<nanoseconds>(Clock::now() - begin).count();
    }
    // Towards twice what was needed, so that ordinary variation still pays; towards next to nothing when it
    // did not pay.
    const std::int64_t aim = is_found ? std::min(kLongest, 2 * elapsed + kShortest) : kShortest;
    nanoseconds_.store(static_cast<std::uint32_t>(estimate + (aim - estimate) / 4),
                       std::memory_order_relaxed);
    return is_found;
  }

 private:
  static constexpr std::int64_t kLongest = 4000;  // nanoseconds
  static constexpr std::int64_t kShortest = 300;  // what a spin that never pays may still cost
  // Every so many spins, one that outlasts the waking of a sleeping thread. Without it two threads that hand
  // each other work never get out of sleeping by turns: each looks for a while, but the other is just being
  // woken, for longer than that. It costs less than a microsecond for each wait.
  static constexpr std::uint32_t kProbeEvery = 64;
  static constexpr std::int64_t kProbe = 50'000;
  static constexpr int kLooksPerClockReading = 8;

  // Relaxed throughout: an estimate, of which a lost update costs nothing but time.
  std::atomic<std::uint32_t> nanoseconds_{4000};
  std::atomic<std::uint32_t> spins_{0};
};

}  // namespace osthread
