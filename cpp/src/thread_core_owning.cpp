// The end of a thread's chunk is the end of a block for the threads that its code has started.
#include <algorithm>

#include "deadline.hpp"
#include "owned_threads.hpp"
#include "thread_core.hpp"

namespace osthread {

void ThreadCore::leave_owned(Outcome& outcome) {
  if (outcome.ending != Ending::finished) return;  // then they are terminated
  std::vector<std::shared_ptr<ThreadCore>> to_terminate;
  for (std::shared_ptr<ThreadCore>& core : owned_threads(interpreter_->vm())) {
    core->resume();  // nobody is left to do so
    if (core->status() == Status::suspended) core->discard();
    if (core->ended() || core->options_.on_exit == OnExit::detach) continue;
    if (core->options_.on_exit == OnExit::terminate) {
      to_terminate.push_back(std::move(core));
    } else if (!wait_beside(*core)) {
      outcome = interpreter_->stopped(*stop_);
      return;
    }
  }
  terminate_all(to_terminate);  // last, as the others may need them
}

// As terminate(), each step for all of them at once.
void ThreadCore::terminate_all(const std::vector<std::shared_ptr<ThreadCore>>& cores) {
  const auto wait_for_all = [&](Clock::time_point deadline) {
    for (const auto& core : cores)
      while (core->wait(deadline, Blocking::Caller::outsider) == Wait::interrupted) continue;
  };
  std::chrono::nanoseconds grace{0};
  for (const auto& core : cores) {
    grace = std::max(grace, core->options_.grace);
    core->request_stop();
  }
  wait_for_all(deadline_after(grace));
  for (const auto& core : cores) core->terminate_later();
  wait_for_all(deadline_after(sum_of(sum_of(grace, grace), kBusyMachine)));
  for (const auto& core : cores)
    core->terminate(std::chrono::nanoseconds(0));  // given up if it has not answered
}

// No run is there to be told of a stop: what is said to this thread wakes the wait itself. Whether `other`
// has ended.
bool ThreadCore::wait_beside(ThreadCore& other) noexcept {
  const auto asked = [this] {
    return stop_->reason() != StopReason::none || stop_->requested() || stop_->leave() != Leave::no;
  };
  stop_->park_on(&other.done_);
  while (Blocking(other.done_, Blocking::Caller::outsider, "join", &other, std::nullopt).until([&] {
    return other.settled() || asked();
  }) != Wait::over)
    continue;
  stop_->park_on(nullptr);
  return other.ended();
}

}  // namespace osthread
