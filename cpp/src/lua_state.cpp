#include "osthread/lua_state.hpp"

#include <mutex>
#include <stdexcept>

#include "fork.hpp"
#include "interpreter.hpp"
#include "watchdog.hpp"

namespace osthread {

// Invariant: whoever holds `calls_` is the only one that touches the interpreter. Recursive: a function of
// the host that the state calls may look at its globals; running code in it from there is refused, as it is
// in the middle of a call.
class LuaState::Impl {
 public:
  explicit Impl(StateOptions options)
      : time_limit_(options.time_limit),
        stop_(std::make_shared<Stop>(options.grace)),
        interpreter_(std::make_unique<Interpreter>(options, std::string())) {}

  ~Impl() {
    if (generation_ != fork_generation())
      (void)interpreter_.release();  // the parent's; maybe in the middle of a call
  }

  template <class Select>
  Values run(Select select, const Values& args) {
    const std::unique_lock lock = enter();
    if (running_)
      throw std::logic_error(
          "this LuaState is running: a function that it calls can't run code in it; use another LuaState");
    interpreter_->relieve();
    stop_->open();
    struct Running {
      Impl& impl;
      explicit Running(Impl& i) : impl(i) { impl.running_ = true; }
      ~Running() {
        impl.stop_->clear_deadline();
        impl.stop_->close();
        impl.running_ = false;
        impl.interpreter_->relieve();
      }
    };
    Outcome outcome;
    {
      const Running running(*this);
      stop_->bind(interrupt::this_thread());
      if (const auto limit = time_limit()) bound_time(stop_, *limit);
      select(*interpreter_);
      outcome = interpreter_->run(args, *stop_);
    }
    last_frames_ = std::move(outcome.frames);
    if (outcome.error) std::rethrow_exception(outcome.error);
    return std::move(outcome.results);
  }

  std::unique_lock<std::recursive_mutex> enter() {
    if (generation_ != fork_generation() && running_)
      throw std::logic_error("this LuaState was running at the fork");
    std::unique_lock lock(calls_);
    if (!interpreter_) throw std::logic_error("this LuaState is closed");
    return lock;
  }

  std::optional<std::chrono::nanoseconds> time_limit() const {
    const std::lock_guard lock(settings_);
    return time_limit_;
  }

  const std::uint32_t generation_ = fork_generation();
  std::recursive_mutex calls_;
  // Of time_limit_, and of the pointer to the interpreter against statistics(), which takes no turn among the
  // calls.
  mutable std::mutex settings_;
  std::optional<std::chrono::nanoseconds> time_limit_;
  bool running_ = false;
  std::shared_ptr<Stop> stop_;
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
  const auto lock = impl_->enter();
  return impl_->interpreter_->global(name);
}

void LuaState::set(const std::string& name, const Value& value) {
  const auto lock = impl_->enter();
  impl_->interpreter_->set_global(name, value);
}

void LuaState::set_time_limit(std::optional<std::chrono::nanoseconds> limit) {
  if (limit && limit->count() < 0) throw std::invalid_argument("time_limit is negative");
  const std::lock_guard lock(impl_->settings_);
  impl_->time_limit_ = limit;
}

std::optional<std::chrono::nanoseconds> LuaState::time_limit() const { return impl_->time_limit(); }

bool LuaState::interrupt() { return ask_to_stop(impl_->stop_); }

StateStatistics LuaState::statistics() const {
  const std::lock_guard lock(impl_->settings_);
  if (!impl_->interpreter_) return {};
  const MemoryQuota& quota = impl_->interpreter_->vm().quota();
  return {.memory = quota.used(), .peak_memory = quota.peak(), .memory_limit = quota.limit()};
}

void LuaState::close() {
  const std::unique_lock calls(impl_->calls_);
  if (impl_->running_)
    throw std::logic_error("this LuaState is running: a function that it calls can't close it");
  if (!impl_->interpreter_) return;
  impl_->interpreter_->run_finalizers();
  std::unique_ptr<Interpreter> closed;  // dropped after the lock
  const std::lock_guard lock(impl_->settings_);
  closed.swap(impl_->interpreter_);
}

bool LuaState::closed() const {
  const std::unique_lock lock(impl_->calls_, std::try_to_lock);
  return lock.owns_lock() && !impl_->interpreter_;
}

}  // namespace osthread
