#include "state_core.hpp"

#include <stdexcept>

#include "commands.hpp"
#include "fork.hpp"
#include "open_files.hpp"
#include "watchdog.hpp"

namespace osthread {

struct StateCore::Renewal {
  std::mutex mutex;
};

struct StateCore::Locks {
  explicit Locks(std::chrono::nanoseconds grace) : stop(std::make_shared<Stop>(grace)) {}
  TurnLock calls;
  // Of last_frames_, and of the pointer to the interpreter against statistics(), which takes no turn among
  // the calls.
  std::mutex settings;
  const std::shared_ptr<Stop> stop;
};

class StateCore::Turn {
 public:
  explicit Turn(StateCore& core) : core_(core), lock_(core.locks().calls) {
    if (!core.interpreter_)
      throw std::logic_error(std::string("this LuaState is closed") + core.closed_because_);
    if (core.left_in_use()) throw std::logic_error("this LuaState was in the middle of a call at the fork");
    core.taken_in_ = core.generation_;
    ++core.turns_;
  }
  ~Turn() { --core_.turns_; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  StateCore& core_;
  std::unique_lock<TurnLock> lock_;
};

// While one lives, there is something to stop; within the time limit. Of a Turn.
class StateCore::Running {
 public:
  explicit Running(StateCore& core, bool looked_after = false) : core_(core), stop_(*core.locks_->stop) {
    core.running_ = true;
    core.interpreter_->set_stop(&stop_);
    try {
      const std::shared_ptr<Stop>& stop = core.locks_->stop;
      open_here(stop, looked_after);
      if (const auto limit = core.time_limit()) bound_time(stop, *limit);
    } catch (...) {
      end();
      throw;
    }
  }
  ~Running() { end(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  void end() noexcept {
    stop_.close();
    if (core_.interpreter_) core_.interpreter_->set_stop(nullptr);
    core_.running_ = false;
  }

  StateCore& core_;
  Stop& stop_;  // a fork's child in the middle of this makes another, but leaves it
};

StateCore::StateCore(StateOptions options)
    : generation_(fork_generation()),
      time_limit_(options.time_limit.value_or(kNoLimit)),
      locks_(std::make_unique<Locks>(options.grace)),
      interpreter_(std::make_unique<Interpreter>(std::move(options), std::string())) {}

StateCore::~StateCore() {
  const bool inherited = generation_ != fork_generation();
  if (turns_ != 0 && (inherited || left_in_use())) (void)interpreter_.release();
  try {
    if (interpreter_ && !inherited) (void)finalize();
  } catch (const std::exception&) {
    // No memory for a time limit: the interpreter runs them when it goes, without one.
  }
  if (inherited) (void)locks_.release();
}

StateCore::Locks& StateCore::locks() {
  const std::uint32_t now = fork_generation();
  // Acquire and release: whoever sees the generation sees the locks that were made for it.
  if (generation_.load(std::memory_order_acquire) != now) {
    const std::lock_guard lock(per_process<Renewal>().mutex);
    if (generation_.load(std::memory_order_relaxed) != now) {
      auto fresh = std::make_unique<Locks>(locks_->stop->grace());
      (void)locks_.release();  // a held lock can't be destroyed
      locks_ = std::move(fresh);
      generation_.store(now, std::memory_order_release);
    }
  }
  return *locks_;
}

Values StateCore::run(const Body& body, bool looked_after) {
  const Turn turn(*this);
  if (running_)
    throw std::logic_error(
        "this LuaState is running: a function that it calls can't run code in it; use another LuaState");
  if (has_frames_) set_frames({});  // what comes may throw without any
  Outcome outcome = run_once(body, looked_after);
  if (!outcome.frames.empty()) set_frames(std::move(outcome.frames));
  if (outcome.error) std::rethrow_exception(outcome.error);
  return std::move(outcome.results);
}

void StateCore::set_frames(std::vector<Frame> frames) noexcept {
  has_frames_ = !frames.empty();
  const std::lock_guard settings(locks_->settings);
  last_frames_ = std::move(frames);
}

Outcome StateCore::run_once(const Body& body, bool looked_after) {
  const Running running(*this, looked_after);
  Stop& stop = *locks_->stop;
  const std::uint64_t files_before = interpreter_->vm().has_files ? open_files::count() : 0;
  std::exception_ptr refused;
  Outcome outcome = interpreter_->relieve(stop) ? Outcome() : attempt(body, stop, refused);
  // The handles of what a stopped call has started stay with the state, which would wait for them.
  if (outcome.ending == Ending::stopped && !interpreter_->left())
    commands::stop(open_files::commands_since(files_before, interpreter_->vm()));
  if (std::optional<Outcome> left = after(stop)) outcome = std::move(*left);
  if (refused && !outcome.error) std::rethrow_exception(refused);
  return outcome;
}

Outcome StateCore::attempt(const Body& body, Stop& stop, std::exception_ptr& refused) {
  try {
    return body(*interpreter_, stop);
  } catch (const std::exception&) {
    refused = std::current_exception();
    return {};
  }
}

Value StateCore::with(const std::function<Value(Interpreter& interpreter)>& body) {
  const Turn turn(*this);
  if (running_) return body(*interpreter_);  // a function of the host, in a call
  const Running running(*this);
  std::exception_ptr refused;
  Value result;
  try {
    result = body(*interpreter_);
  } catch (const std::exception&) {
    refused = std::current_exception();
  }
  if (const std::optional<Outcome> left = after(*locks_->stop)) std::rethrow_exception(left->error);
  if (refused) std::rethrow_exception(refused);
  return result;
}

// What is to be done when something with the state is over: how it was left, then or by now.
std::optional<Outcome> StateCore::after(Stop& stop) {
  if (!interpreter_->left() && !interpreter_->relieve(stop)) return std::nullopt;
  std::optional<Outcome> left = interpreter_->take_left();
  note_left();
  return left;
}

// The state has gone: from here on it is closed.
void StateCore::note_left() noexcept {
  std::unique_ptr<Interpreter> gone;  // dropped after the lock
  const std::lock_guard lock(locks_->settings);
  gone.swap(interpreter_);
  closed_because_ = gone->left_because();
}

// Runs the finalizers: what ended them, if they had to be left.
std::exception_ptr StateCore::finalize() {
  const Running running(*this);
  locks_->stop->begin_finalizers();
  if (!interpreter_->finalize(*locks_->stop)) return nullptr;
  const std::optional<Outcome> left = interpreter_->take_left();
  return left ? left->error : nullptr;
}

void StateCore::collect_garbage() {
  const Turn turn(*this);
  if (!std::exchange(interpreter_->vm().kept.anything_new, false) && !interpreter_->vm().lingering) return;
  const Running running(*this);
  // What lingers is looked at by a finalizer, which the next collection runs.
  for (int round = 0; round < 2 && !interpreter_->collect(*locks_->stop); ++round)
    if (!interpreter_->vm().lingering) break;
  if (const std::optional<Outcome> left = after(*locks_->stop)) std::rethrow_exception(left->error);
}

void StateCore::set_time_limit(std::optional<std::chrono::nanoseconds> limit) {
  if (limit && limit->count() < 0) throw std::invalid_argument("time_limit is negative");
  // Relaxed: a call that begins meanwhile has the one or the other.
  time_limit_.store(limit.value_or(kNoLimit), std::memory_order_relaxed);
}

std::optional<std::chrono::nanoseconds> StateCore::time_limit() const noexcept {
  const std::chrono::nanoseconds limit = time_limit_.load(std::memory_order_relaxed);
  return limit == kNoLimit ? std::nullopt : std::optional(limit);
}

bool StateCore::interrupt() noexcept { return ask_to_stop(locks().stop); }

bool StateCore::kill() noexcept { return kill_now(locks().stop); }

Clock::time_point StateCore::answered_by() noexcept {
  const std::shared_ptr<Stop>& stop = locks().stop;
  return stop->answered_by(stop->grace());
}

StateStatistics StateCore::statistics() {
  const std::lock_guard lock(locks().settings);
  if (!interpreter_) return {};
  const MemoryQuota& quota = interpreter_->vm().quota();
  return {.memory = quota.used(),
          .peak_memory = quota.peak(),
          .memory_limit = quota.limit(),
          .time_limit = time_limit()};
}

std::vector<Frame> StateCore::error_frames() {
  const std::lock_guard lock(locks().settings);
  return last_frames_;
}

std::vector<Object*> StateCore::objects() const {
  if (generation_ != fork_generation() || turns_ != 0 || !interpreter_) return {};
  return interpreter_->objects({});
}

void StateCore::close() {
  std::unique_ptr<Interpreter> gone;  // dropped after the locks
  const std::unique_lock calls(locks().calls);
  if (!interpreter_) return;
  if (left_in_use()) {
    (void)interpreter_.release();
    return;
  }
  if (running_) throw std::logic_error("this LuaState is running: a function that it calls can't close it");
  std::exception_ptr overrun;
  {
    const Turn turn(*this);
    overrun = finalize();
    const std::lock_guard lock(locks_->settings);
    gone.swap(interpreter_);
  }
  if (overrun) std::rethrow_exception(overrun);
}

bool StateCore::closed() {
  const std::unique_lock lock(locks().calls, std::try_to_lock);
  return lock.owns_lock() && !interpreter_;
}

}  // namespace osthread
