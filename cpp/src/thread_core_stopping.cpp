// The ways to stop a thread, and the steps from one to the next.
#include <algorithm>

#include "deadline.hpp"
#include "registry.hpp"
#include "thread_core.hpp"
#include "watchdog.hpp"

namespace osthread {

ThreadCore& ThreadCore::only_lua() {
  if (routine_)
    throw std::logic_error(
        "this OSThread runs a routine that is no Lua code: it can only be joined or detached");
  return *this;
}

bool ThreadCore::kill() {
  Stop::require_kill();
  if (inherited()) return false;
  if (status() == Status::suspended) {
    discard();
    return true;
  }
  return kill_now(stop_);
}

bool ThreadCore::pause() noexcept { return !inherited() && status() == Status::running && pause_now(stop_); }

bool ThreadCore::resume() noexcept { return !inherited() && stop_->resume(); }

bool ThreadCore::request_stop() noexcept { return !inherited() && stop_->request(); }

bool ThreadCore::interrupt() noexcept {
  if (inherited()) return false;
  return ask_to_stop(stop_);
}

Status ThreadCore::terminate(std::chrono::nanoseconds grace, const std::function<bool()>& look,
                             Blocking::Caller caller) {
  const auto wait_until = [&](Clock::time_point deadline) {
    for (;;) {
      const Wait outcome = wait(deadline, caller);
      if (outcome == Wait::stopped) terminate_later();
      if (outcome != Wait::interrupted) return outcome;
      if (look && !look()) return outcome;
    }
  };
  if (status() == Status::suspended) discard();
  if (ended()) return status();
  if (registry::current() ==
      this) {  // by a function of the host that it calls itself: it can't wait for its own end
    interrupt();
    return status();
  }
  request_stop();
  if (wait_until(deadline_after(grace)) != Wait::timed_out) return status();
  interrupt();
  // The watchdog asks again as well, unless no thread could be made for it.
  const auto wait_and_deliver = [&](const auto& last) {
    for (;;) {
      const std::optional<Clock::time_point> again = stop_->deliver();
      const Clock::time_point until = last();  // it comes nearer as the thread hears of the stop
      if (wait_until(again ? std::min(*again, until) : until) != Wait::timed_out) return true;
      if (Clock::now() >= last()) return false;
    }
  };
  if (Stop::can_kill()) {
    if (wait_and_deliver([&] { return stop_->answered_by(grace); })) return status();
    kill_now(stop_);
    const Clock::time_point last = deadline_after(kBusyMachine);
    if (wait_and_deliver([&] { return last; })) return status();
  } else {
    const Clock::time_point last = deadline_after(sum_of(sum_of(options_.grace, grace), kBusyMachine));
    if (wait_and_deliver([&] { return last; })) return status();
  }
  abandon(Callbacks::here);
  return status();
}

void ThreadCore::terminate_later() noexcept {
  if (inherited()) return;
  if (status() == Status::suspended) discard();
  if (ended()) return;
  request_stop();
  interrupt();
  try {
    give_up_later();
  } catch (const std::exception&) {
    // No thread can be made for the watchdog: then it is not given up.
    return;
  }
}

void ThreadCore::give_up_later() {
  const std::weak_ptr<ThreadCore> weak = weak_from_this();
  const bool can_kill = Stop::can_kill();
  const auto first = can_kill ? kAskAgain : sum_of(sum_of(options_.grace, options_.grace), kBusyMachine);
  const auto step = [weak, killed = !can_kill]() mutable -> std::optional<Clock::time_point> {
    const auto core = weak.lock();
    if (!core || core->ended()) return std::nullopt;
    if (killed) {
      core->abandon(Callbacks::elsewhere);
      return std::nullopt;
    }
    const Clock::time_point now = Clock::now();
    const Clock::time_point answered = core->stop_->answered_by(core->options_.grace);
    if (answered > now)
      return std::min(answered, now + kAskAgain);  // it comes nearer when the thread hears of it
    killed = true;
    kill_now(core->stop_);
    return deadline_after(kBusyMachine);
  };
  Watchdog::instance().schedule(deadline_after(first), step);
}

void ThreadCore::abandon(Callbacks callbacks) {
  Outcome outcome;
  outcome.ending = Ending::stopped;
  outcome.error = std::make_exception_ptr(
      Abandoned({.message = "abandoned: it sits in foreign code that does not return, or in a finalizer",
                 .frames = {},
                 .value = nullptr,
                 .thread = options_.name},
                StopStage::interrupt));
  publish(std::move(outcome), Status::abandoned, callbacks);
}

}  // namespace osthread
