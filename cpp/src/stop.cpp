#include "stop.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "deadline.hpp"
#include "frames.hpp"
#include "safe_point.h"

namespace osthread {

namespace {

std::atomic<bool (*)() noexcept> look_is_due{nullptr};
std::atomic<void (*)() noexcept> hosts_look{nullptr};
std::atomic<const std::atomic<std::uint32_t>*> looks_seen_to{nullptr};

bool wants_look() noexcept {
  const auto due = look_is_due.load(std::memory_order_acquire);
  return due && due();
}

std::uint32_t times_seen_to() noexcept {
  const auto* const seen_to = looks_seen_to.load(std::memory_order_acquire);
  return seen_to ? seen_to->load(std::memory_order_acquire) : 0;
}

}  // namespace

void Stop::set_look(Look look) noexcept {
  hosts_look.store(look.see_to_it, std::memory_order_release);
  looks_seen_to.store(look.seen_to, std::memory_order_release);
  look_is_due.store(look.due, std::memory_order_release);
}

bool Stop::look() noexcept {
  if (!look_.load(std::memory_order_relaxed)) return false;
  look_.store(false, std::memory_order_relaxed);
  if (const auto look = hosts_look.load(std::memory_order_acquire)) look();
  return true;
}

void Stop::look_now() noexcept {
  const auto look = hosts_look.load(std::memory_order_acquire);
  if (look && wants_look()) look();
}

void Stop::open() noexcept {
  const std::lock_guard lock(mutex_);
  begin();
}

std::optional<Stop::Watch> Stop::open_here(interrupt::Target target, bool looked_after) noexcept {
  const std::lock_guard lock(mutex_);
  begin();
  target_ = target;
  looked_after_ = looked_after;
  if (looked_after) seen_to_ = times_seen_to();
  if (!looked_after || lasting_at_ != Clock::time_point::max()) return std::nullopt;
  lasting_ = opened_;
  lasting_at_ = Clock::now() + kLookAfter;
  return watch_at(lasting_at_);
}

std::optional<Stop::Watch> Stop::watch_at(Clock::time_point at) noexcept {
  if (watched_ <= at) return std::nullopt;
  return Watch{.at = at, .before = std::exchange(watched_, at)};
}

void Stop::begin() noexcept {
  open_ = true;
  ++opened_;
  finalizing_.store(false, std::memory_order_relaxed);
  leave_.store(Leave::no, std::memory_order_relaxed);
  uncut_.store(false, std::memory_order_relaxed);
  heard_.store(0, std::memory_order_relaxed);
  overdue_since_.store(0, std::memory_order_relaxed);
  paused_.store(false, std::memory_order_relaxed);
  reason_.store(StopReason::none, std::memory_order_relaxed);
  requested_.store(false, std::memory_order_relaxed);
  raised_at_.store(0, std::memory_order_relaxed);
}

void Stop::bind(interrupt::Target target) noexcept {
  const std::lock_guard lock(mutex_);
  target_ = target;
}

void Stop::take_signals(bool taken) noexcept {
  const std::lock_guard lock(mutex_);
  finalizing_.store(!taken, std::memory_order_relaxed);
}

void Stop::close() noexcept {
  const std::lock_guard lock(mutex_);
  open_ = false;
  target_.reset();
  deadline_ = Clock::time_point::max();
  looked_after_ = false;
  look_.store(false, std::memory_order_relaxed);
  if (paused_.load(std::memory_order_relaxed) && paused_.exchange(false, std::memory_order_acq_rel))
    holding_.wake_all();
  if (inspection_) {
    inspection_->done.store(true, std::memory_order_release);
    inspection_->waiter.wake_all();
    inspection_.reset();
  }
}

bool Stop::request() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_) return false;
  asked_.fetch_add(1, std::memory_order_relaxed);
  const bool first = !requested_.exchange(true, std::memory_order_relaxed);
  if (paused_.exchange(false, std::memory_order_acq_rel)) holding_.wake_all();
  wake();
  return first;
}

bool Stop::ask(StopReason reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || !note_asked(reason)) return false;
  deliver_locked();
  return true;
}

const char* Stop::no_kill_because() noexcept {
  if (!osthread_has_safe_points())
    return "kill() can't be had in this build: see features(); interrupt() can be had";
  if (!interrupt::reaches_running_code())
    return "kill() takes a signal, and set_signal(0) or OSTHREAD_SIGNAL=0 says that there is none: see "
           "features(); interrupt() can be had";
  return nullptr;
}

void Stop::require_kill() {
  if (const char* reason = no_kill_because()) throw std::runtime_error(reason);
}

bool Stop::kill() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || !can_kill() || leave() == Leave::killed) return false;
  note_asked(StopReason::interrupt);  // for what can't leave at once: it is told that it is being stopped
  leave_since_ = Clock::now();
  leave_.store(Leave::killed, std::memory_order_release);
  deliver_locked();
  return true;
}

bool Stop::pause() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || finalizing_ || reason() != StopReason::none || requested()) return false;
  if (paused_.exchange(true, std::memory_order_acq_rel)) return false;
  deliver_locked();
  return true;
}

bool Stop::resume() noexcept {
  const std::lock_guard lock(mutex_);
  if (!paused_.exchange(false, std::memory_order_acq_rel)) return false;
  wake();
  holding_.wake_all();
  return true;
}

bool Stop::note_asked(StopReason reason) noexcept {
  asked_.fetch_add(1, std::memory_order_relaxed);
  if (paused_.exchange(false, std::memory_order_acq_rel)) holding_.wake_all();
  StopReason none = StopReason::none;
  if (reason_.load(std::memory_order_relaxed) == StopReason::none)
    asked_at_.store(now_ns(), std::memory_order_relaxed);
  return reason_.compare_exchange_strong(none, reason, std::memory_order_release, std::memory_order_relaxed);
}

std::optional<Clock::time_point> Stop::deliver() noexcept {
  const std::lock_guard lock(mutex_);
  return deliver_locked();
}

std::optional<Clock::time_point> Stop::deliver_locked() noexcept {
  if (!open_ || !target_) return std::nullopt;
  const Clock::time_point now = Clock::now();
  if (reason() == StopReason::none) {
    if (!paused_.load(std::memory_order_relaxed) || held()) return std::nullopt;
    if (!uncut_.load(std::memory_order_relaxed)) poke();
    return now + kAskAgain;
  }
  const Clock::time_point leaving = leaving_at();
  if (leave() == Leave::no && now >= leaving) {
    leave_since_ = now;
    leave_.store(Leave::limit, std::memory_order_release);
  }
  if (leave() != Leave::no) {
    poke();
    // Most leave at once. One that does not is in code of others, which so many signals would only hinder.
    return now + (now - leave_since_ < 10 * kAskAgain ? kLeaveAgain : kAskAgain);
  }
  if (finalizing_) {
    wake();
    if (leaving == Clock::time_point::max()) return std::nullopt;
    return leaving;
  }
  const std::optional<Clock::time_point> relentless = relentless_at();
  if (relentless && now < *relentless) return std::min(*relentless, leaving);
  poke();
  return std::min(now + kAskAgain, leaving);
}

std::optional<Clock::time_point> Stop::relentless_at() const noexcept {
  const std::int64_t raised = raised_at_.load(std::memory_order_relaxed);
  if (raised == 0) return std::nullopt;
  return time_after(at_ns(raised), grace_);
}

Clock::time_point Stop::answered_by(std::chrono::nanoseconds grace) const noexcept {
  if (const auto relentless = relentless_at()) return time_after(*relentless, kUnwinding);
  // The first time may have been the last moment of a thread's turn on a CPU, the second the first of its
  // next.
  constexpr int kEnough = 3;
  const std::chrono::nanoseconds time = std::max<std::chrono::nanoseconds>(grace, kAnswer);
  const Clock::time_point asked = at_ns(asked_at_.load(std::memory_order_relaxed));
  if (finalizing_) return time_after(asked, time);  // it is not interrupted at all
  if (heard_.load(std::memory_order_acquire) < kEnough)
    return time_after(time_after(asked, time), kBusyMachine);
  return time_after(at_ns(heard_at_.load(std::memory_order_relaxed)), time);
}

// A time limit holds whatever the code does; an interrupt alone goes on asking.
Clock::time_point Stop::leaving_at() const noexcept {
  const std::int64_t overdue = overdue_since_.load(std::memory_order_relaxed);
  if (overdue == 0 || !can_kill()) return Clock::time_point::max();
  // An interrupt may have come before it; the code has its grace time from the deadline on all the same.
  return std::max(answered_by(grace_), time_after(at_ns(overdue), grace_));
}

void Stop::park_on(Waiter* other) noexcept {
  const std::lock_guard lock(mutex_);
  other_ = other;
}

void Stop::wake() noexcept {
  waiter_.wake_all();
  if (other_) other_->wake_all();
}

void Stop::poke() noexcept {
  wake();
  if (target_) interrupt::poke(*target_);
  if (quota_) quota_->look_soon();
}

void Stop::reach_through(MemoryQuota* quota) noexcept {
  const std::lock_guard lock(mutex_);
  quota_ = quota;
}

std::optional<Stop::Watch> Stop::set_deadline(Clock::time_point deadline,
                                              std::chrono::nanoseconds limit) noexcept {
  const std::lock_guard lock(mutex_);
  limit_.store(limit.count(), std::memory_order_relaxed);
  deadline_ = deadline;
  return watch_at(deadline);
}

void Stop::clear_deadline() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = Clock::time_point::max();
}

std::optional<Clock::time_point> Stop::deadline() noexcept {
  const std::lock_guard lock(mutex_);
  if (deadline_ != Clock::time_point::max()) return deadline_;
  const std::int64_t overdue = overdue_since_.load(std::memory_order_relaxed);
  if (overdue != 0) return at_ns(overdue);
  return std::nullopt;
}

void Stop::forget_watch() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = watched_ = lasting_at_ = Clock::time_point::max();
}

// Without a clock at the run's begin: it lasts if it was there the last time, too. When to look again.
Clock::time_point Stop::watch_lasting(Clock::time_point now) noexcept {
  if (now < lasting_at_) return lasting_at_;
  const bool lasts = lasting_ == opened_;
  const bool put_off = std::exchange(put_off_, false) && lasts;
  lasting_ = opened_;
  if (lasts && open_ && looked_after_ && (put_off ? look_wanted() : is_look_due())) {
    look_.store(true, std::memory_order_relaxed);
    // The signal would cut that short, and the thread looks when it is over. Asked again, as it may have been
    // over just before.
    put_off_ = uncut_.load(std::memory_order_relaxed);
    if (!put_off_) poke();
  }
  lasting_at_ = lasts && !put_off_ ? Clock::time_point::max() : now + kLookAfter;
  return lasting_at_;
}

// Only then: the signal would cut its system calls for nothing.
bool Stop::is_look_due() const noexcept { return wants_look() || times_seen_to() != seen_to_; }

void Stop::look_if_due() noexcept {
  const std::lock_guard lock(mutex_);
  if (open_ && looked_after_ && is_look_due()) look_.store(true, std::memory_order_relaxed);
}

std::optional<Clock::time_point> Stop::watch(Clock::time_point at) noexcept {
  // All under one lock: a call that ends in between must not hand its timeout to the next one.
  const std::lock_guard lock(mutex_);
  if (at != watched_) return std::nullopt;  // somebody else was told to watch sooner, and goes on from there
  const Clock::time_point now = Clock::now();
  Clock::time_point next = std::min(deadline_, watch_lasting(now));
  if (now >= deadline_) {
    if (open_) {
      overdue_since_.store(now_ns(), std::memory_order_relaxed);
      note_asked(StopReason::deadline);
    }
    deadline_ = Clock::time_point::max();
    next = lasting_at_;
  }
  if (overdue_since_.load(std::memory_order_relaxed) != 0)  // and so on until the run has ended
    next = std::min(next, deliver_locked().value_or(Clock::time_point::max()));
  watched_ = next;
  if (next == Clock::time_point::max()) return std::nullopt;
  return next;
}

std::optional<std::vector<Frame>> Stop::inspect(Clock::time_point deadline) {
  std::shared_ptr<Inspection> inspection;
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return std::nullopt;  // but one that has only just been started is waited for
    if (!inspection_) inspection_ = std::make_shared<Inspection>();
    inspection = inspection_;
    inspecting_.store(true, std::memory_order_release);
  }
  while (!inspection->done.load(std::memory_order_acquire)) {
    const Waiter::Ticket ticket = inspection->waiter.ticket();
    if (inspection->done.load(std::memory_order_acquire)) break;
    {
      const std::lock_guard lock(mutex_);
      if (!uncut_.load(std::memory_order_relaxed)) poke();
    }
    const Clock::time_point now = Clock::now();
    if (now >= deadline) return std::nullopt;
    inspection->waiter.park(ticket, std::min(deadline, now + kAskAgain));
  }
  if (inspection->frames.empty()) return std::nullopt;
  return inspection->frames;
}

void Stop::serve_inspection(lua_State* L) noexcept {
  if (!inspecting_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  inspecting_.store(false, std::memory_order_relaxed);
  if (!inspection_) return;
  try {
    inspection_->frames = collect_frames(L, 0);
  } catch (const std::bad_alloc&) {
    inspection_->frames.clear();  // whoever asks is told, if not all
  }
  inspection_->done.store(true, std::memory_order_release);
  inspection_->waiter.wake_all();
  inspection_.reset();
}

}  // namespace osthread
