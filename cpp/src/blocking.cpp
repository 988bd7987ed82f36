#include "blocking.hpp"

#include <utility>

namespace osthread {

std::exception_ptr stopped_in_wait() {
  const WaitNote* note = wait_note();
  return std::make_exception_ptr(Stopped({.message = "stopped while it waited",
                                          .frames = {},
                                          .value = nullptr,
                                          .thread = note ? note->thread : std::string()},
                                         StopStage::interrupt));
}

Blocking::Blocking(Waiter& waiter, Caller caller, const char* what, const void* on,
                   std::optional<Clock::time_point> deadline) noexcept
    : waiter_(waiter),
      caller_(caller),
      deadline_(deadline),
      run_(caller == Caller::outsider ? nullptr : Run::current()),
      note_(wait_note()) {
  if (run_) run_->listen(&waiter);
  if (caller_ != Caller::lua) Run::note_parked_on(&waiter);
  if (!note_) return;
  note_->on.store(on, std::memory_order_relaxed);
  // Only a wait of Lua's goes on: one in a function of the host that it has called is another.
  const std::int64_t resumed = caller == Caller::lua ? std::exchange(note_->resumed, 0) : 0;
  note_->since.store(resumed != 0 ? resumed : now_ns(), std::memory_order_relaxed);
  note_->what.store(what, std::memory_order_release);  // release: the rest is there when this is seen
}

Blocking::~Blocking() {
  if (note_) note_->what.store(nullptr, std::memory_order_relaxed);
  if (caller_ != Caller::lua) Run::note_parked_on(nullptr);
  if (run_) run_->listen(nullptr);
}

std::optional<Wait> Blocking::park(Waiter::Ticket ticket) noexcept {
  if (caller_ != Caller::lua && Run::take_host_signal() != HostSignal::none) return Wait::interrupted;
  std::optional<Clock::time_point> until = deadline_;
  if (run_ && caller_ == Caller::lua) {
    if (run_->due_now(true)) return Wait::stopped;
    until = run_->wait_at_most(deadline_);
  } else if (run_ && run_->stop_due()) {
    return Wait::stopped;
  }
  switch (waiter_.park(ticket, until)) {
    case Waiter::Outcome::woken:
      return std::nullopt;
    case Waiter::Outcome::timed_out:
      if (until != deadline_) return std::nullopt;  // what is due is seen in the next round
      return Wait::timed_out;
    case Waiter::Outcome::interrupted:
      if (caller_ == Caller::lua) return std::nullopt;
      return Wait::interrupted;
  }
  return std::nullopt;
}

}  // namespace osthread
