#include "waiter.hpp"

#include <algorithm>
#include <chrono>

namespace osthread {
namespace {

constexpr std::int64_t kLongestSpin = 4000;  // nanoseconds
constexpr std::int64_t kShortestSpin = 300;  // what a spin that never pays may still cost

// Every so many spins, one that outlasts the waking of a sleeping thread. Without it two threads that hand
// each other work never get out of sleeping by turns: each looks for a while, but the other is just being
// woken, for longer than that. It costs less than a microsecond for each wait.
constexpr std::uint32_t kProbeEvery = 64;
constexpr std::int64_t kProbe = 50'000;

constexpr int kLooksPerClockReading = 8;

// Tells the CPU that this is a spin: saves power, and gives a sibling hyperthread its turn.
inline void relax_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  // `yield` does nothing on most cores; this takes about as long as x86's pause.
  asm volatile("isb");
#endif
}

}  // namespace

Waiter::Outcome Waiter::park(Ticket ticket, std::optional<Clock::time_point> deadline, bool spin) noexcept {
  if (epoch_.load(std::memory_order_acquire) != ticket) return Outcome::woken;
  if (spin && has_several_cpus() && spin_until_woken(ticket, deadline)) return Outcome::woken;

  parked_.fetch_add(1, std::memory_order_seq_cst);  // see advance()
  Outcome outcome = Outcome::woken;
  while (epoch_.load(std::memory_order_seq_cst) == ticket) {
    outcome = block(epoch_, ticket, deadline);
    if (outcome != Outcome::woken) break;
  }
  // Relaxed: it may be seen late, and then a waker makes a system call for nobody; never early, which is what
  // matters.
  parked_.fetch_sub(1, std::memory_order_relaxed);
  if (outcome != Outcome::woken && epoch_.load(std::memory_order_acquire) != ticket) outcome = Outcome::woken;
  return outcome;
}

bool Waiter::spin_until_woken(Ticket ticket, std::optional<Clock::time_point> deadline) noexcept {
  using std::chrono::duration_cast;
  using std::chrono::nanoseconds;

  const Clock::time_point begin = Clock::now();
  if (deadline && *deadline <= begin) return false;

  const std::int64_t estimate = spin_nanoseconds_.load(std::memory_order_relaxed);
  const bool probe = spins_.fetch_add(1, std::memory_order_relaxed) % kProbeEvery == 0;
  std::int64_t limit = probe ? kProbe : estimate;
  if (deadline && *deadline < begin + nanoseconds(limit)) {
    limit = duration_cast<nanoseconds>(*deadline - begin).count();
  }

  std::int64_t elapsed = 0;
  bool woken = false;
  while (!woken && elapsed < limit) {
    for (int look = 0; look < kLooksPerClockReading && !woken; ++look) {
      relax_cpu();
      // Acquire: the caller may read what was written before the wake.
      woken = epoch_.load(std::memory_order_acquire) != ticket;
    }
    elapsed = duration_cast<nanoseconds>(Clock::now() - begin).count();
  }
  // Towards twice what was needed, so that ordinary variation still pays; towards next to nothing when it did
  // not pay.
  const std::int64_t aim = woken ? std::min(kLongestSpin, 2 * elapsed + kShortestSpin) : kShortestSpin;
  spin_nanoseconds_.store(static_cast<std::uint32_t>(estimate + (aim - estimate) / 4),
                          std::memory_order_relaxed);
  return woken;
}

}  // namespace osthread
