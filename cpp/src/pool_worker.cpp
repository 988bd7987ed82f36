#include "pool_worker.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "lua_value.hpp"
#include "pool_core.hpp"
#include "prepared_states.hpp"
#include "registry.hpp"
#include "watchdog.hpp"

namespace osthread {
namespace {

// How many functions a worker keeps made; beyond that the one that was not used for longest goes.
constexpr std::size_t kMostFunctions = 64;

// How long a worker rests before a collection: so many times longer than the last one took, so that it is not
// what it does all the time where jobs come that seldom.
constexpr int kRestsOfCollection = 20;
constexpr std::chrono::nanoseconds kLongRest = std::chrono::seconds(10);

}  // namespace

PoolWorker::PoolWorker(std::shared_ptr<PoolCore> pool, std::string name)
    : pool_(std::move(pool)), name_(std::move(name)) {
  note_.thread = name_;
}

void PoolWorker::start() {
  registry::native_begins();
  self_ = shared_from_this();
  try {
    NativeThreadOptions options = pool_->options().threads.native();
    options.name = name_;
    options.suspended = false;
    NativeThread(&PoolWorker::main, this, options).detach();
  } catch (...) {
    self_ = nullptr;
    registry::native_ends();
    throw;
  }
}

int PoolWorker::main(void* self) {
  {
    const std::shared_ptr<PoolWorker> worker = std::move(static_cast<PoolWorker*>(self)->self_);
    worker->run();
  }
  prepared_states::leave_one();
  registry::at_native_end();
  registry::native_ends();
  return 0;
}

void PoolWorker::run() {
  ident_.store(current_ident(), std::memory_order_relaxed);
  set_wait_note(&note_);
  set_holdings(&holdings_);
  std::shared_ptr<PoolJob> job = pool_->next(*this, true);
  for (; job; job = pool_->next(*this, false)) work(job);
  retire_state();
  set_holdings(nullptr);
  set_wait_note(nullptr);
  holdings_->pass_on();
  pool_->leave(*this);
}

void PoolWorker::work(const std::shared_ptr<PoolJob>& job) {
  bool stopping = false;
  {
    const std::lock_guard lock(mutex_);
    job_ = job;
    ++turn_;
    stopping = stopping_;
  }
  if (stopping)
    job->cancel();  // it was in no queue any more, and not here yet, when all that runs was stopped
  // Something is taken before a run begins: so the job is not done meanwhile, and lends only who works at it.
  while (taken_ != 0 || (taken_ = job->take(next_item_)) != 0) {
    if (const std::exception_ptr broken = prepare(*job)) {
      for (; taken_ != 0; --taken_, ++next_item_) job->fail(next_item_, broken);
      job->cancel(broken);
      break;
    }
    run_some(*job);
  }
  if (made_ != kNothing) give_back();
  if (std::exchange(lent_, false)) job->take_back();
  {
    const std::lock_guard lock(mutex_);
    job_ = nullptr;
    ++turn_;
  }
  // A task's locks go with it, whatever became of it.
  holdings_->pass_on();
}

// Sees to a state that something can be run in. Null, or why there is none.
std::exception_ptr PoolWorker::prepare(const PoolJob& job) {
  if (state_ && tasks_left_ > 0 && !state_->closed()) return nullptr;
  retire_state();
  try {
    std::unique_ptr<StateCore> fresh = pool_->make_state();
    {
      const std::lock_guard lock(mutex_);
      state_ = std::move(fresh);
    }
    pool_->set_up(*state_, job);  // while it is there to be stopped
  } catch (const std::exception&) {
    const std::exception_ptr error = std::current_exception();
    if (!job.cancelled() || pool_->is_broken()) return pool_->break_down(error);
    retire_state();  // it is set up in part, whatever the setup has made of the stop
    return error;
  }
  const std::size_t most = pool_->options().tasks_per_state;
  tasks_left_ = most != 0 ? most : std::numeric_limits<std::size_t>::max();
  return nullptr;
}

void PoolWorker::retire_state() noexcept {
  functions_.clear();
  made_ = kNothing;
  rest_ = kShortRest;
  if (!state_) return;
  try {
    state_->close();  // while it is there to be stopped, as finalizers may run for ever
  } catch (const std::exception&) {
    // A finalizer had to be left; nobody asked for it.
    tasks_left_ = 0;
  }
  std::unique_ptr<StateCore> gone;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  gone = std::move(state_);
}

void PoolWorker::tidy_up() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !state_ || state_->closed()) return;
  }
  const Clock::time_point begun = Clock::now();
  try {
    state_->collect_garbage();
  } catch (const std::exception&) {
    // A finalizer had to be left, and the state with it: the next task gets another.
    tasks_left_ = 0;
  }
  rest_ = std::clamp(kRestsOfCollection * std::min<std::chrono::nanoseconds>(Clock::now() - begun, kLongRest),
                     kShortRest, kLongRest);
}

void PoolWorker::run_some(PoolJob& job) {
  // A time limit is for each task, so each has a run of its own.
  most_ = pool_->options().threads.time_limit ? 1 : tasks_left_;
  running_ = false;
  try {
    Values results = state_->run([&](Interpreter& interpreter, Stop& stop) {
      interpreter.select(kept(interpreter, job));
      return interpreter.run({}, stop);
    });
    if (running_) settle(std::move(results));
  } catch (const std::exception&) {
    // One that came before any item: it could not be begun. (Or a stop came between two of them.)
    if (running_ || take()) settle(std::current_exception());
  }
}

bool PoolWorker::take() noexcept {
  if (most_ == 0) return false;
  PoolJob& job = *job_;
  if (taken_ == 0) taken_ = job.take(next_item_);
  for (; taken_ != 0 && job.cancelled(); --taken_, ++next_item_) job.drop(next_item_);
  if (taken_ == 0) return false;
  item_ = next_item_++;
  --taken_;
  --most_;
  --tasks_left_;
  running_ = true;
  return true;
}

void PoolWorker::settle(Values results) noexcept {
  running_ = false;
  job_->finish(item_, std::move(results));
}

void PoolWorker::settle(const std::exception_ptr& error) noexcept {
  running_ = false;
  std::vector<Frame> frames;
  try {
    frames = state_->error_frames();
  } catch (const std::bad_alloc&) {
    frames.clear();
  }
  job_->fail(item_, error, std::move(frames));
}

// The body of every function that is kept: context and function are its upvalues. It calls that with one item
// after another, in one run.
int PoolWorker::run_items(lua_State* L) {
  auto& worker = *static_cast<PoolWorker*>(lua_touserdata(L, lua_upvalueindex(1)));
  lua_settop(L, 0);
  while (worker.take()) {
    const std::span<const Value> arguments = worker.job_->arguments(worker.item_);
    {
      const Run::Open open;
      lua_pushvalue(L, lua_upvalueindex(2));
      push_values(L, arguments);
      lua_call(L, static_cast<int>(arguments.size()), LUA_MULTRET);
    }
    // Code that caught a stop and returned: its run is over.
    if (Run::current()->raised()) return lua_gettop(L);
    worker.read_results(L);
    lua_settop(L, 0);
  }
  if (worker.giving_back_) {
    const Run::Open open;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 0, 0);
  }
  return 0;
}

void PoolWorker::read_results(lua_State* L) noexcept {
  try {
    settle(read_values(L, 1, lua_gettop(L), {"results"}));
  } catch (const std::exception&) {
    settle(std::current_exception());
  }
}

int PoolWorker::kept(Interpreter& interpreter, PoolJob& job) {
  if (job.maker().is_nil()) return kept(interpreter, job.function());
  if (made_ == kNothing) {
    const int maker = kept(interpreter, job.maker());
    const int function = kept(interpreter, job.function());
    if (!std::exchange(lent_, true)) job.lend();
    Values make_of{Value::array(interpreter.are_new(job.make_of()))};
    make_of.insert(make_of.end(), job.make_of().begin(), job.make_of().end());
    made_ = interpreter.keep(&PoolWorker::run_items, this, maker, function, make_of);
  }
  return made_;
}

// A function is made once in a state, which keeps what LuaJIT has compiled of it.
int PoolWorker::kept(Interpreter& interpreter, const Value& function) {
  const void* const key = function.type() == Value::Type::function
                              ? static_cast<const void*>(&function.function())
                              : function.bytes().data();
  const auto found = std::find_if(functions_.begin(), functions_.end(),
                                  [key](const Function& each) { return each.key == key; });
  if (found != functions_.end()) {
    std::rotate(functions_.begin(), found, found + 1);
    return functions_.front().kept;
  }
  functions_.reserve(kMostFunctions + 1);
  interpreter.compile(Code(function));
  functions_.insert(functions_.begin(), {function, key, interpreter.keep(&PoolWorker::run_items, this)});
  if (functions_.size() > kMostFunctions) {
    interpreter.drop(functions_.back().kept);
    functions_.pop_back();
  }
  return functions_.front().kept;
}

// The job's own function is called without arguments to give back what it was lent, and dropped.
void PoolWorker::give_back() noexcept {
  const int kept = std::exchange(made_, kNothing);
  most_ = 0;
  giving_back_ = true;
  try {
    if (!state_->closed()) {
      state_->run([kept](Interpreter& interpreter, Stop& stop) {
        interpreter.select(kept);
        return interpreter.run({}, stop);
      });
      state_->with([kept](Interpreter& interpreter) {
        interpreter.drop(kept);
        return Value();
      });
    }
  } catch (const std::exception&) {
    // It was stopped, or had no memory: then the state goes, and with it what it holds.
    retire_state();
  }
  giving_back_ = false;
}

bool PoolWorker::is_current() const noexcept {
  return ident_.load(std::memory_order_relaxed) == current_ident();
}

bool PoolWorker::is_busy() const noexcept { return running_.load(std::memory_order_relaxed); }

void PoolWorker::stop() noexcept {
  std::shared_ptr<PoolJob> job;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    job = job_;
  }
  if (job) job->cancel();
  end_turn([&] { return true; });
}

void PoolWorker::stop(const PoolJob& job) noexcept {
  end_turn([&] { return job_.get() == &job; });
}

template <class Is>
void PoolWorker::end_turn(Is is_meant) noexcept {
  std::uint64_t turn = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!state_ || !is_meant()) return;
    turn = turn_;
    state_->interrupt();
  }
  if (!Stop::can_kill()) return;
  // It holds neither the state nor the job, which would end on the watchdog's thread.
  const auto step = [weak = weak_from_this(), turn]() -> std::optional<Clock::time_point> {
    const std::shared_ptr<PoolWorker> worker = weak.lock();
    if (!worker) return std::nullopt;
    const std::lock_guard lock(worker->mutex_);
    if (worker->turn_ != turn || !worker->state_) return std::nullopt;
    const Clock::time_point now = Clock::now();
    // Something may have begun in the state since: its finalizers have the grace time, too.
    if (worker->state_->interrupt()) return now + kAskAgain;
    const Clock::time_point answered = worker->state_->answered_by();
    if (answered > now) return std::min(answered, now + kAskAgain);  // it comes nearer when the thread hears
    worker->state_->kill();
    return std::nullopt;
  };
  try {
    Watchdog::instance().schedule(Clock::now() + kAskAgain, step);
  } catch (const std::exception&) {
    // No thread can be made for the watchdog: then nothing follows the interrupt.
    return;
  }
}

void PoolWorker::abandon() noexcept {
  std::shared_ptr<PoolJob> job;
  {
    const std::lock_guard lock(mutex_);
    job = job_;
  }
  if (!job) return;
  std::exception_ptr error;
  try {
    error = std::make_exception_ptr(
        Abandoned({.message = "abandoned: it sits in foreign code that does not return",
                   .frames = {},
                   .value = nullptr,
                   .thread = name_},
                  StopStage::interrupt));
  } catch (const std::bad_alloc&) {
    error = std::current_exception();
  }
  job->fail_open(error);
}

}  // namespace osthread
