// Signals of the host, Ctrl-C for one: noted in its signal handler, looked at where the Lua code stands, or
// waits.
#include "deadline.hpp"
#include "run_slot.hpp"

namespace osthread {
namespace {

std::atomic<bool (*)(Stop&)> host_check{nullptr};
std::atomic<bool> signals_kill{true};

}  // namespace

void Run::answer_host() noexcept {
  this_slot.signalled.store(HostSignal::none, std::memory_order_relaxed);
  const bool came = host_signal_.exchange(false, std::memory_order_relaxed);
  given_up_.store(false,
                  std::memory_order_relaxed);  // after it: a second one meanwhile is being answered, too
  if (came) {
    const auto check = host_check.load(std::memory_order_acquire);
    if (check) check(stop_);
  }
}

void Run::note_host_signal() noexcept {
  this_slot.signalled.store(HostSignal::came, std::memory_order_relaxed);
  if (Waiter* waiter = this_slot.parked_on) waiter->wake_all();
  Run* run = this_slot.innermost;
  if (run == nullptr) return;
  const std::int64_t now = now_ns();
  if (!run->host_signal_.exchange(true, std::memory_order_relaxed) || run->host_signal_at_ == kOnlySuspected)
    run->host_signal_at_ = now;
  run->stop_.waiter().wake_all();
  attend();
  // No hook runs, in a finalizer or in one call that has no end: whoever asks again, later, means it.
  constexpr std::int64_t kLater = std::chrono::nanoseconds(std::chrono::milliseconds(100)).count();
  // In a function of the host's the host looks for itself.
  if (!signals_kill.load(std::memory_order_relaxed) || now - run->host_signal_at_ < kLater ||
      !Stop::can_kill() || !run->nothing_below(this_slot))
    return;
  run->given_up_.store(true, std::memory_order_relaxed);
  run->leave_soon_.store(true, std::memory_order_relaxed);
  run->vm_.quota().look_soon();
  interrupt::poke_this_thread();
}

void Run::suspect_host_signal() noexcept {
  HostSignal none = HostSignal::none;
  this_slot.signalled.compare_exchange_strong(none, HostSignal::suspected, std::memory_order_relaxed);
  if (Waiter* waiter = this_slot.parked_on) waiter->wake_all();
  if (Run* run = this_slot.innermost) run->suspect();
  attend();
}

void Run::suspect() noexcept {
  if (!host_signal_.load(std::memory_order_relaxed)) {
    host_signal_at_ =
        kOnlySuspected;  // before: a handler in between must not find the time of an earlier one
    host_signal_.store(true, std::memory_order_relaxed);
  }
  stop_.waiter().wake_all();
}

void Run::let_signals_kill(bool allowed) noexcept { signals_kill.store(allowed, std::memory_order_relaxed); }

void Run::note_parked_on(Waiter* waiter) noexcept {
  this_slot.parked_on = waiter;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // before the ticket is taken
}

HostSignal Run::take_host_signal() noexcept {
  if (this_slot.signalled.load(std::memory_order_relaxed) == HostSignal::none) return HostSignal::none;
  return this_slot.signalled.exchange(HostSignal::none, std::memory_order_relaxed);
}

bool Run::host_wants_out() noexcept {
  if (take_host_signal() == HostSignal::none) return false;
  const auto check = host_check.load(std::memory_order_acquire);
  const auto nothing_to_stop = std::make_shared<Stop>(std::chrono::nanoseconds(0));
  return check && check(*nothing_to_stop);
}

void Run::set_host_check(bool (*check)(Stop&)) noexcept {
  host_check.store(check, std::memory_order_release);
}

}  // namespace osthread
