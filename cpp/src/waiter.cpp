#include "waiter.hpp"

namespace osthread {

Waiter::Outcome Waiter::park(Ticket ticket, std::optional<Clock::time_point> deadline, bool spin) noexcept {
  // Acquire: the caller may read what was written before the wake.
  const auto woken = [&] { return epoch_.load(std::memory_order_acquire) != ticket; };
  if (woken() || (spin && spin_.until(woken, deadline))) return Outcome::woken;

  parked_.fetch_add(1, std::memory_order_seq_cst);  // see advance()
  Outcome outcome = Outcome::woken;
  while (epoch_.load(std::memory_order_seq_cst) == ticket) {
    outcome = block(epoch_, ticket, deadline);
    if (outcome != Outcome::woken) break;
  }
  // Relaxed: it may be seen late, and then a waker makes a system call for nobody; never early, which is what
  // matters.
  parked_.fetch_sub(1, std::memory_order_relaxed);
  return outcome != Outcome::woken && woken() ? Outcome::woken : outcome;
}

}  // namespace osthread
