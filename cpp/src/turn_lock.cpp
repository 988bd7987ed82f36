#include "turn_lock.hpp"

#include "osthread/error.hpp"
#include "osthread/native_thread.hpp"
#include "run.hpp"

namespace osthread {

bool TurnLock::try_lock() noexcept {
  const std::uintptr_t me = current_ident();
  std::uintptr_t owner = 0;
  // Acquire and release: what one holder did is done for the next.
  if (!owner_.compare_exchange_strong(owner, me, std::memory_order_acquire, std::memory_order_relaxed) &&
      owner != me)
    return false;
  ++depth_;
  return true;
}

void TurnLock::unlock() noexcept {
  if (--depth_ != 0) return;
  owner_.store(0, std::memory_order_release);
  free_.wake_one();
}

void TurnLock::lock() {
  if (try_lock()) return;
  Run* const run = Run::current();
  bool given_up = false;
  Run::note_parked_on(&free_);
  if (run) run->listen(&free_);
  Stop::look_now();  // as for a call that lasts
  for (;;) {
    const Waiter::Ticket ticket = free_.ticket();
    if (try_lock()) break;
    given_up = Run::host_wants_out() || (run && run->stop_due());
    if (given_up) break;
    free_.park(ticket, std::nullopt);
  }
  if (run) run->listen(nullptr);
  Run::note_parked_on(nullptr);
  if (!given_up) return;
  free_.wake_one();  // if it was this thread that was woken to take it
  throw Stopped(
      {.message = "stopped while it waited for its turn", .frames = {}, .value = nullptr, .thread = {}},
      StopStage::interrupt);
}

}  // namespace osthread
