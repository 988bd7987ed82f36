#include "osthread/lua_state.hpp"

#include <atomic>
#include <mutex>
#include <stdexcept>

#include "commands.hpp"
#include "fork.hpp"
#include "host.hpp"
#include "interpreter.hpp"
#include "open_files.hpp"
#include "turn_lock.hpp"
#include "watchdog.hpp"

namespace osthread {

// Invariant: whoever has a Turn is the only one that touches the interpreter. A thread may take several: a
// function of the host that the state calls may look at its globals; running code in it from there is
// refused, as it is in the middle of a call.
//
// In a fork's child the state is whole if nobody had a Turn at the fork. Its locks may be held all the same,
// by a thread that was about to take one, or by the watchdog: then they are made anew.
class LuaState::Impl {
 public:
  explicit Impl(StateOptions options)
      : time_limit_(options.time_limit),
        locks_(std::make_unique<Locks>(options.grace)),
        interpreter_(std::make_unique<Interpreter>(options, std::string())) {}

  ~Impl() {
    const bool inherited = generation_ != fork_generation();
    if (turns_ != 0 && (inherited || left_in_use())) (void)interpreter_.release();
    try {
      if (interpreter_ && !inherited) (void)finalize();
    } catch (const std::exception&) {
      // No memory for a time limit: the interpreter runs them when it goes, without one.
    }
    if (inherited) (void)locks_.release();
  }

  struct Renewal {
    std::mutex mutex;
  };

  struct Locks {
    explicit Locks(std::chrono::nanoseconds grace) : stop(std::make_shared<Stop>(grace)) {}
    TurnLock calls;
    // Of time_limit_, last_frames_, and of the pointer to the interpreter against statistics(), which takes
    // no turn among the calls.
    std::mutex settings;
    const std::shared_ptr<Stop> stop;
  };

  Locks& locks() {
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

  bool left_in_use() const noexcept { return turns_ != 0 && taken_in_ != generation_; }

  class Turn {
   public:
    explicit Turn(Impl& impl) : impl_(impl), lock_(impl.locks().calls) {
      if (!impl.interpreter_)
        throw std::logic_error(std::string("this LuaState is closed") + impl.closed_because_);
      if (impl.left_in_use()) throw std::logic_error("this LuaState was in the middle of a call at the fork");
      impl.taken_in_ = impl.generation_;
      ++impl.turns_;
    }
    ~Turn() { --impl_.turns_; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Impl& impl_;
    std::unique_lock<TurnLock> lock_;
  };

  template <class Select>
  Values run(Select select, const Values& args) {
    const Turn turn(*this);
    if (running_)
      throw std::logic_error(
          "this LuaState is running: a function that it calls can't run code in it; use another LuaState");
    Outcome outcome;
    {
      const Running running(*this);
      Stop& stop = *locks_->stop;
      std::exception_ptr refused;
      std::optional<Outcome> left = interpreter_->relieve(stop);
      const std::uint64_t files_before = open_files::count();
      try {
        if (!left) {
          select(*interpreter_);
          outcome = interpreter_->run(args, stop);
        }
        // The handles of what a stopped call has started stay with the state, which would wait for them.
        if (outcome.ending == Ending::stopped && !interpreter_->left())
          commands::stop(open_files::commands_since(files_before, interpreter_->vm()));
      } catch (const std::exception&) {
        refused = std::current_exception();
      }
      if (!left) left = after(stop);
      if (interpreter_->left()) note_left();
      if (left) outcome = std::move(*left);
      if (refused && !outcome.error) std::rethrow_exception(refused);
    }
    {
      const std::lock_guard settings(locks_->settings);
      last_frames_ = std::move(outcome.frames);
    }
    if (outcome.error) std::rethrow_exception(outcome.error);
    return std::move(outcome.results);
  }

  // While one lives, there is something to stop; within the time limit. Of a Turn.
  class Running {
   public:
    explicit Running(Impl& impl) : impl_(impl), stop_(impl.locks_->stop) {
      stop_->open();
      impl.running_ = true;
      impl.interpreter_->set_stop(stop_.get());
      try {
        stop_->bind(interrupt::this_thread());
        if (stop_->reason() != StopReason::none) keep_asking(stop_);  // asked while there was nobody to poke
        if (const auto limit = impl.time_limit()) bound_time(stop_, *limit);
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
      stop_->clear_deadline();
      stop_->close();
      if (impl_.interpreter_) impl_.interpreter_->set_stop(nullptr);
      impl_.running_ = false;
    }

    Impl& impl_;
    const std::shared_ptr<Stop> stop_;
  };

  // Something short with the state, of a Turn: a collection may run finalizers meanwhile.
  template <class Body>
  auto with(Body body) {
    if (running_) return body(*interpreter_);  // a function of the host, in a call
    const Running running(*this);
    std::exception_ptr refused;
    std::optional<Value> result;
    try {
      result = body(*interpreter_);
    } catch (const std::exception&) {
      refused = std::current_exception();
    }
    const std::optional<Outcome> left = after(*locks_->stop);
    if (interpreter_->left()) note_left();
    if (left) std::rethrow_exception(left->error);
    if (refused) std::rethrow_exception(refused);
    return std::move(*result);
  }

  // What is to be done when something with the state is over: how it was left, then or by now.
  std::optional<Outcome> after(Stop& stop) {
    return interpreter_->left() ? interpreter_->take_left() : interpreter_->relieve(stop);
  }

  // The state has gone: from here on this LuaState is closed.
  void note_left() noexcept {
    std::unique_ptr<Interpreter> gone;  // dropped after the lock
    const std::lock_guard lock(locks_->settings);
    gone.swap(interpreter_);
    closed_because_ = gone->left_because();
  }

  // Runs the finalizers: what ended them, if they had to be left.
  std::exception_ptr finalize() {
    const Running running(*this);
    locks_->stop->begin_finalizers();
    const std::optional<Outcome> left = interpreter_->finalize(*locks_->stop);
    return left ? left->error : nullptr;
  }

  std::optional<std::chrono::nanoseconds> time_limit() {
    const std::lock_guard lock(locks().settings);
    return time_limit_;
  }

  std::atomic<std::uint32_t> generation_{fork_generation()};
  std::uint32_t taken_in_ = 0;  // the generation of the turns
  int turns_ = 0;
  std::optional<std::chrono::nanoseconds> time_limit_;
  bool running_ = false;
  const char* closed_because_ = "";  // of the turns
  std::unique_ptr<Locks> locks_;
  std::unique_ptr<Interpreter> interpreter_;
  std::vector<Frame> last_frames_;
};

Value compile_function(const Code& code) {
  Interpreter interpreter({}, std::string());
  interpreter.compile(code);
  return interpreter.compiled();
}

LuaState::LuaState(StateOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
LuaState::~LuaState() = default;

Values LuaState::execute(const Code& code, const Values& args) {
  return impl_->run([&](Interpreter& interpreter) { interpreter.compile(code); }, args);
}

Values LuaState::eval(const std::string& expression) {
  return impl_->run(
      [&](Interpreter& interpreter) {
        interpreter.compile(Code("return " + expression, "=" + expression.substr(0, 60)));
      },
      {});
}

Values LuaState::call(const Value& function, const Values& args) { return execute(Code(function), args); }

Values LuaState::call(const std::string& dotted_name, const Values& args) {
  return impl_->run([&](Interpreter& interpreter) { interpreter.select(dotted_name); }, args);
}

Value LuaState::get(const std::string& name) {
  const Impl::Turn turn(*impl_);
  return impl_->with([&](Interpreter& interpreter) { return interpreter.global(name); });
}

void LuaState::set(const std::string& name, const Value& value) {
  const Impl::Turn turn(*impl_);
  impl_->with([&](Interpreter& interpreter) {
    interpreter.set_global(name, value);
    return Value();
  });
}

void LuaState::set_time_limit(std::optional<std::chrono::nanoseconds> limit) {
  if (limit && limit->count() < 0) throw std::invalid_argument("time_limit is negative");
  const std::lock_guard lock(impl_->locks().settings);
  impl_->time_limit_ = limit;
}

std::optional<std::chrono::nanoseconds> LuaState::time_limit() const { return impl_->time_limit(); }

bool LuaState::interrupt() { return ask_to_stop(impl_->locks().stop); }

bool LuaState::kill() {
  Stop::require_kill();
  return kill_now(impl_->locks().stop);
}

StateStatistics LuaState::statistics() const {
  const std::lock_guard lock(impl_->locks().settings);
  if (!impl_->interpreter_) return {};
  const MemoryQuota& quota = impl_->interpreter_->vm().quota();
  return {.memory = quota.used(),
          .peak_memory = quota.peak(),
          .memory_limit = quota.limit(),
          .time_limit = impl_->time_limit_};
}

std::vector<Frame> LuaState::error_frames() const {
  const std::lock_guard lock(impl_->locks().settings);
  return impl_->last_frames_;
}

void LuaState::close() {
  std::unique_ptr<Interpreter> closed;  // dropped after the locks
  const std::unique_lock calls(impl_->locks().calls);
  if (!impl_->interpreter_) return;
  if (impl_->left_in_use()) {
    (void)impl_->interpreter_.release();
    return;
  }
  if (impl_->running_)
    throw std::logic_error("this LuaState is running: a function that it calls can't close it");
  std::exception_ptr overrun;
  {
    const Impl::Turn turn(*impl_);
    overrun = impl_->finalize();
    const std::lock_guard lock(impl_->locks().settings);
    closed.swap(impl_->interpreter_);
  }
  if (overrun) std::rethrow_exception(overrun);
}

std::vector<Object*> host::objects_of(const LuaState& state) {
  const LuaState::Impl& impl = *state.impl_;
  if (impl.generation_ != fork_generation() || impl.turns_ != 0 || !impl.interpreter_) return {};
  return impl.interpreter_->objects({});
}

bool LuaState::closed() const {
  const std::unique_lock lock(impl_->locks().calls, std::try_to_lock);
  return lock.owns_lock() && !impl_->interpreter_;
}

}  // namespace osthread
