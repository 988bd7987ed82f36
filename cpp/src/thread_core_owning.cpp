// The end of a thread's chunk is the end of a block for the threads that its code has started.
#include "owned_threads.hpp"
#include "thread_core.hpp"

namespace osthread {

void ThreadCore::leave_owned(Outcome& outcome) {
  if (outcome.ending != Ending::finished) return;  // then they are terminated
  for (const std::shared_ptr<ThreadCore>& core : owned_threads(interpreter_->vm())) {
    core->resume();  // nobody is left to do so
    if (core->status() == Status::suspended) core->discard();
    if (core->ended() || core->options_.on_exit == OnExit::detach) continue;
    if (core->options_.on_exit == OnExit::terminate) {
      core->terminate(core->options_.grace);
    } else if (!wait_beside(*core)) {
      outcome = interpreter_->stopped(*stop_);
      return;
    }
  }
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
