#include "osthread/lua_state.hpp"

#include <atomic>
#include <mutex>
#include <stdexcept>

#include "fork.hpp"
#include "host.hpp"
#include "interpreter.hpp"
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
      if (!impl.interpreter_) throw std::logic_error("this LuaState is closed");
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
    interpreter_->relieve();
    const std::shared_ptr<Stop>& stop = locks_->stop;
    stop->open();
    struct Running {
      Impl& impl;
      explicit Running(Impl& i) : impl(i) { impl.running_ = true; }
      ~Running() {
        impl.locks_->stop->clear_deadline();
        impl.locks_->stop->close();
        impl.running_ = false;
        impl.interpreter_->relieve();
      }
    };
    Outcome outcome;
    {
      const Running running(*this);
      stop->bind(interrupt::this_thread());
      if (stop->reason() != StopReason::none) keep_asking(stop);  // asked while there was nobody to poke
      if (const auto limit = time_limit()) bound_time(stop, *limit);
      select(*interpreter_);
      outcome = interpreter_->run(args, *stop);
    }
    {
      const std::lock_guard settings(locks_->settings);
      last_frames_ = std::move(outcome.frames);
    }
    if (outcome.error) std::rethrow_exception(outcome.error);
    return std::move(outcome.results);
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
  return impl_->interpreter_->global(name);
}

void LuaState::set(const std::string& name, const Value& value) {
  const Impl::Turn turn(*impl_);
  impl_->interpreter_->set_global(name, value);
}

void LuaState::set_time_limit(std::optional<std::chrono::nanoseconds> limit) {
  if (limit && limit->count() < 0) throw std::invalid_argument("time_limit is negative");
  const std::lock_guard lock(impl_->locks().settings);
  impl_->time_limit_ = limit;
}

std::optional<std::chrono::nanoseconds> LuaState::time_limit() const { return impl_->time_limit(); }

bool LuaState::interrupt() { return ask_to_stop(impl_->locks().stop); }

StateStatistics LuaState::statistics() const {
  const std::lock_guard lock(impl_->locks().settings);
  if (!impl_->interpreter_) return {};
  const MemoryQuota& quota = impl_->interpreter_->vm().quota();
  return {.memory = quota.used(), .peak_memory = quota.peak(), .memory_limit = quota.limit()};
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
  const Impl::Turn turn(*impl_);
  impl_->interpreter_->run_finalizers();
  const std::lock_guard lock(impl_->locks().settings);
  closed.swap(impl_->interpreter_);
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
