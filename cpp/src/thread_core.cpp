#include "thread_core.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "cpu_time.hpp"
#include "deadline.hpp"
#include "fork.hpp"
#include "frames.hpp"
#include "prepared_states.hpp"
#include "registry.hpp"
#include "watchdog.hpp"

namespace osthread {
namespace {

std::int64_t to_ns(Clock::time_point time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

double seconds_since(std::int64_t ns) noexcept { return static_cast<double>(to_ns(Clock::now()) - ns) / 1e9; }

std::string next_name() {
  static constinit std::atomic<std::uint64_t> threads{0};
  return "OSThread-" + std::to_string(1 + threads.fetch_add(1, std::memory_order_relaxed));
}

bool is_limit(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const LuaTimeout&) {
    return true;
  } catch (...) {
    return false;
  }
}

Status status_of(const Outcome& outcome) {
  switch (outcome.ending) {
    case Ending::finished:
      return Status::finished;
    case Ending::failed:
      return Status::failed;
    case Ending::killed:
      return Status::killed;
    case Ending::stopped:
      return is_limit(outcome.error) ? Status::failed : Status::stopped;
  }
  return Status::failed;
}

}  // namespace

std::exception_ptr stopped_in_wait() {
  const ThreadCore* core = registry::current();
  return std::make_exception_ptr(Stopped({.message = "stopped while it waited for a thread",
                                          .frames = {},
                                          .value = nullptr,
                                          .thread = core ? core->options().name : std::string()},
                                         StopStage::interrupt));
}

std::shared_ptr<ThreadCore> ThreadCore::create(const Code& code, Values args, ThreadOptions options) {
  if (options.name.empty()) options.name = next_name();
  StateOptions state = options.state();
  // What holds things of the host stays with the state alone, and goes with it.
  options.globals.clear();
  options.modules.clear();
  options.output = nullptr;
  const auto core = std::make_shared<ThreadCore>(std::move(options), std::move(args));
  core->interpreter_ = std::make_unique<Interpreter>(std::move(state), core->options_.name);
  core->interpreter_->compile(code.named(core->options_.chunk_name));
  return core;
}

ThreadCore::ThreadCore(ThreadOptions options, Values args)
    : options_(std::move(options)),
      generation_(fork_generation()),
      stop_(std::make_shared<Stop>(options_.grace)),
      args_(std::move(args)),
      status_(Status::suspended) {
  stop_->open();
}

ThreadCore::~ThreadCore() {
  // A state of the parent's, in a fork's child: another thread may have been in the middle of it.
  if (inherited()) (void)interpreter_.release();
}

bool ThreadCore::inherited() const noexcept { return generation_ != fork_generation(); }

void ThreadCore::launch() {
  const std::lock_guard lock(mutex_);
  // At the program's end, all that has not been started is discarded.
  if (started_) throw std::logic_error("this OSThread was stopped before it was started");
  registry::native_begins();
  launched_ = true;
  try {
    if (!options_.suspended) {
      started_ = true;
      self_ = shared_from_this();
      status_.store(Status::running, std::memory_order_release);
      started_at_.store(to_ns(Clock::now()), std::memory_order_relaxed);
      registry::add(shared_from_this());
    }
    NativeThread native(&ThreadCore::main, this, options_.native());
    ident_.store(native.ident(), std::memory_order_relaxed);
    if (options_.suspended)
      native_ = std::move(native);
    else
      native.detach();
  } catch (...) {
    const std::shared_ptr<ThreadCore> self = std::move(self_);
    launched_ = started_ = false;
    status_.store(Status::suspended, std::memory_order_release);  // discard() ends it
    registry::remove(this);
    registry::native_ends();
    throw;
  }
}

void ThreadCore::start() {
  if (inherited()) throw std::logic_error("this OSThread was made before the fork");
  const std::lock_guard lock(mutex_);
  if (started_) throw std::logic_error("an OSThread can be started only once");
  started_ = true;
  if (status_.load(std::memory_order_relaxed) != Status::suspended)
    throw std::logic_error("this OSThread was stopped before it was started");
  status_.store(Status::running, std::memory_order_release);
  started_at_.store(to_ns(Clock::now()), std::memory_order_relaxed);
  registry::add(shared_from_this());
  self_ = shared_from_this();
  native_.start();
  native_.detach();
}

void ThreadCore::discard() noexcept {
  if (inherited()) return;
  std::shared_ptr<ThreadCore> keep;
  {
    const std::lock_guard lock(mutex_);
    if (started_) return;
    started_ = true;
    keep = shared_from_this();
    if (launched_) native_.discard();
  }
  if (launched_) registry::native_ends();
  Outcome outcome;
  outcome.ending = Ending::stopped;
  try {
    outcome.error = std::make_exception_ptr(Stopped({.message = "discarded before it was started",
                                                     .frames = {},
                                                     .value = nullptr,
                                                     .thread = options_.name},
                                                    StopStage::request));
  } catch (const std::bad_alloc&) {
    outcome.error = std::current_exception();
  }
  stop_->close();
  publish(std::move(outcome), Status::stopped);
  std::unique_ptr<Interpreter> dropped;  // both after the lock: they may call anything
  Values args;
  const std::lock_guard lock(mutex_);
  dropped.swap(interpreter_);
  args.swap(args_);
}

int ThreadCore::main(void* argument) {
  {
    const std::shared_ptr<ThreadCore> self = std::move(static_cast<ThreadCore*>(argument)->self_);
    self->run();
  }
  prepared_states::leave_one();
  registry::at_native_end();
  registry::native_ends();
  return 0;
}

void ThreadCore::run() {
  ident_.store(current_ident(), std::memory_order_relaxed);
  native_id_.store(current_native_id(), std::memory_order_release);
  id_known_.wake_all();
  registry::set_current(this);
  stop_->bind(interrupt::this_thread());
  Outcome outcome;
  try {
    if (stop_->reason() != StopReason::none) keep_asking(stop_);  // asked while there was nobody to poke
    if (options_.time_limit) bound_time(stop_, *options_.time_limit);
    outcome = interpreter_->run(args_, *stop_);
  } catch (const std::exception&) {
    outcome.ending = Ending::failed;
    outcome.error = std::current_exception();
  }
  stop_->begin_finalizers();
  if (auto left = interpreter_->finalize(*stop_)) outcome = std::move(*left);
  stop_->clear_deadline();
  stop_->close();
  memory_.store(0, std::memory_order_relaxed);
  peak_memory_.store(interpreter_->vm().quota().peak(), std::memory_order_relaxed);
  cpu_seconds_.store(current_cpu_seconds(), std::memory_order_relaxed);
  wall_seconds_.store(seconds_since(started_at_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  const Status status = status_of(outcome);
  publish(std::move(outcome), status);
  registry::set_current(nullptr);
  registry::remove(this);
  args_.clear();
  {
    const std::lock_guard lock(mutex_);  // statistics() may look at it
    interpreter_.reset();
  }
}

void ThreadCore::publish(Outcome outcome, Status status, Callbacks where) {
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (ended()) return;  // abandoned meanwhile: that was said, so it stands
    outcome_ = std::move(outcome);
    if (forgotten_) outcome_.results.clear();
    callbacks.swap(callbacks_);
    status_.store(status, std::memory_order_release);
  }
  done_.wake_all();
  if (where == Callbacks::here || callbacks.empty()) {
    for (const auto& callback : callbacks) callback();
    return;
  }
  // On a thread of their own, since they may wait for anything.
  using List = std::vector<std::function<void()>>;
  auto list = std::make_unique<List>(std::move(callbacks));
  const auto call_all = [](void* argument) {
    const std::unique_ptr<List> called(static_cast<List*>(argument));
    for (const auto& callback : *called) callback();
    return 0;
  };
  try {
    NativeThread(call_all, list.get(), {.name = "osthread-end"}).detach();
    (void)list.release();
  } catch (const std::system_error&) {
    call_all(list.release());  // no thread can be made: late deadlines are better than lost callbacks
  }
}

ThreadCore::Wait ThreadCore::wait(std::optional<Clock::time_point> deadline) noexcept {
  Run* const run = Run::current();
  if (!run) return wait_outside(deadline);
  run->listen(&done_);
  const Wait outcome = park(deadline, run);
  run->listen(nullptr);
  return outcome;
}

// Not in a function that Lua calls, or in one that must have its answer whatever happens to that code.
ThreadCore::Wait ThreadCore::wait_outside(std::optional<Clock::time_point> deadline) noexcept {
  return park(deadline, nullptr);
}

ThreadCore::Wait ThreadCore::park(std::optional<Clock::time_point> deadline, Run* run) noexcept {
  Run::note_parked_on(&done_);
  Wait outcome = Wait::interrupted;
  for (;;) {
    const Waiter::Ticket ticket = done_.ticket();
    if (ended() || Run::take_host_signal()) break;
    if (run && run->stop_due()) {
      outcome = Wait::stopped;
      break;
    }
    const Waiter::Outcome parked = done_.park(ticket, deadline);
    if (parked == Waiter::Outcome::timed_out) outcome = Wait::timed_out;
    if (parked != Waiter::Outcome::woken) break;
  }
  Run::note_parked_on(nullptr);
  return ended() ? Wait::ended : outcome;
}

void ThreadCore::wait_for_end() noexcept {
  for (;;) {
    const Wait outcome = wait(std::nullopt);
    if (outcome == Wait::ended) return;
    if (outcome != Wait::stopped) continue;
    terminate(options_.grace);
    return;
  }
}

void ThreadCore::forget() noexcept {
  if (inherited()) return;
  Values results;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  forgotten_ = true;
  if (ended()) results.swap(outcome_.results);
}

const Outcome& ThreadCore::outcome() const { return outcome_; }

void ThreadCore::release_results() noexcept {
  if (inherited() || !ended()) return;
  Values released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  released.swap(outcome_.results);
}

void ThreadCore::release_error() noexcept {
  if (inherited() || !ended()) return;
  std::exception_ptr released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  released.swap(outcome_.error);
}

std::vector<Object*> ThreadCore::objects() const {
  if (inherited()) return {};
  const std::lock_guard lock(mutex_);
  if (started_ || !interpreter_) return {};
  return interpreter_->objects(args_);
}

Status ThreadCore::status() const noexcept {
  if (!inherited() && stop_->held() && status_.load(std::memory_order_acquire) == Status::running)
    return Status::paused;
  if (inherited()) {
    const Status status = status_.load(std::memory_order_acquire);
    return status == Status::running || status == Status::suspended || status == Status::paused ? Status::lost
                                                                                                : status;
  }
  return status_.load(std::memory_order_acquire);
}

bool ThreadCore::ended() const noexcept {
  switch (status()) {
    case Status::suspended:
    case Status::running:
    case Status::paused:
      return false;
    default:
      return true;
  }
}

bool ThreadCore::kill() {
  if (!Run::can_be_left())
    throw std::runtime_error("kill() can't be had in this build: see osthread.features(); use interrupt()");
  if (inherited()) return false;
  if (status() == Status::suspended) {
    discard();
    return true;
  }
  return kill_now(stop_);
}

bool ThreadCore::pause() noexcept { return !inherited() && status() == Status::running && pause_now(stop_); }

ThreadCore::Held ThreadCore::wait_held(Clock::time_point deadline) noexcept {
  if (registry::current() == this) return Held::no;  // it waits here, so it is not held
  Waiter& holding = stop_->holding();
  Run* const run = Run::current();
  if (run) run->listen(&holding);
  Run::note_parked_on(&holding);
  Held outcome = Held::interrupted;
  for (;;) {
    const Waiter::Ticket ticket = holding.ticket();
    if (Run::take_host_signal()) break;
    if (run && run->stop_due()) {
      outcome = Held::stopped;
      break;
    }
    if (stop_->held()) outcome = Held::yes;
    if (!stop_->pausing()) outcome = Held::no;
    if (outcome != Held::interrupted) break;
    const Waiter::Outcome parked = holding.park(ticket, deadline);
    if (parked == Waiter::Outcome::timed_out) outcome = Held::timed_out;
    if (parked != Waiter::Outcome::woken) break;
  }
  Run::note_parked_on(nullptr);
  if (run) run->listen(nullptr);
  return outcome;
}

bool ThreadCore::resume() noexcept { return !inherited() && stop_->resume(); }

bool ThreadCore::request_stop() noexcept { return !inherited() && stop_->request(); }

bool ThreadCore::interrupt() noexcept {
  if (inherited()) return false;
  return ask_to_stop(stop_);
}

Status ThreadCore::terminate(std::chrono::nanoseconds grace, const std::function<bool()>& look) {
  const auto wait_until = [&](Clock::time_point deadline) {
    for (;;) {
      const Wait outcome = wait_outside(deadline);
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
  if (Run::can_be_left()) {
    if (wait_and_deliver([&] { return answered_by(grace); })) return status();
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

// Cleanup has its grace time from when the stop was raised, and then some for the relentless raising to end
// it.
Clock::time_point ThreadCore::answered_by(std::chrono::nanoseconds grace) const noexcept {
  const auto relentless = stop_->relentless_at();
  if (!relentless) return stop_->answered_by(grace);
  return *relentless > Clock::time_point::max() - kUnwinding ? *relentless : *relentless + kUnwinding;
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
  const bool can_kill = Run::can_be_left();
  const auto first = can_kill ? kAskAgain : sum_of(sum_of(options_.grace, options_.grace), kBusyMachine);
  const auto step = [weak, killed = !can_kill]() mutable -> std::optional<Clock::time_point> {
    const auto core = weak.lock();
    if (!core || core->ended()) return std::nullopt;
    if (killed) {
      core->abandon(Callbacks::elsewhere);
      return std::nullopt;
    }
    const Clock::time_point now = Clock::now();
    const Clock::time_point answered = core->answered_by(core->options_.grace);
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

std::optional<std::vector<Frame>> ThreadCore::stack(Clock::time_point deadline) {
  if (ended() || status() == Status::suspended) return std::vector<Frame>{};
  if (registry::current() == this) return collect_frames(interpreter_->vm().state(), 0);
  return stop_->inspect(deadline);
}

ThreadStatistics ThreadCore::statistics() const {
  ThreadStatistics statistics;
  statistics.memory_limit = options_.memory_limit;
  statistics.time_limit = options_.time_limit;
  statistics.stops_asked = stop_->asked();
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!inherited()) lock.lock();
  const Status now = status();
  if ((now == Status::running || now == Status::paused) && interpreter_) {
    statistics.cpu_seconds = std::max(0.0, thread_cpu_seconds(ident_.load(std::memory_order_relaxed)));
    statistics.wall_seconds = seconds_since(started_at_.load(std::memory_order_relaxed));
    statistics.memory = interpreter_->vm().quota().used();
    statistics.peak_memory = interpreter_->vm().quota().peak();
    if (const char* what = waiting_for_.load(std::memory_order_acquire)) {
      statistics.waiting_for = what;
      statistics.waiting_seconds = seconds_since(waiting_since_.load(std::memory_order_relaxed));
    }
  } else {
    statistics.cpu_seconds = cpu_seconds_.load(std::memory_order_relaxed);
    statistics.wall_seconds = wall_seconds_.load(std::memory_order_relaxed);
    statistics.peak_memory = peak_memory_.load(std::memory_order_relaxed);
  }
  return statistics;
}

void ThreadCore::on_end(std::function<void()> callback) {
  if (!inherited()) {
    const std::lock_guard lock(mutex_);
    if (!ended()) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

std::uint64_t ThreadCore::native_id() const noexcept {
  if (inherited()) return native_id_.load(std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    if (native_.joinable()) return native_.native_id();
  }
  for (;;) {  // the thread tells it itself, first thing
    const Waiter::Ticket ticket = id_known_.ticket();
    const std::uint64_t id = native_id_.load(std::memory_order_acquire);
    if (id != 0 || ended()) return id;
    id_known_.park(ticket, std::nullopt);
  }
}

void ThreadCore::note_waiting(const char* what, Clock::time_point since) noexcept {
  waiting_since_.store(to_ns(since), std::memory_order_relaxed);
  waiting_for_.store(what, std::memory_order_release);  // release: the time is there when the reason is seen
}

}  // namespace osthread
