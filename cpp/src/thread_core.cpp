#include "thread_core.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "cpu_time.hpp"
#include "deadline.hpp"
#include "footprint.hpp"
#include "fork.hpp"
#include "frames.hpp"
#include "owned_threads.hpp"
#include "prepared_states.hpp"
#include "registry.hpp"
#include "watchdog.hpp"

namespace osthread {
namespace {

double seconds_since(std::int64_t ns) noexcept { return static_cast<double>(now_ns() - ns) / 1e9; }

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

std::shared_ptr<void> take_place(const std::shared_ptr<ThreadBudget>& budget) {
  if (!budget) return nullptr;
  auto place = ThreadBudget::take(budget);
  if (!place)
    throw std::runtime_error(
        "as many threads as max_threads allows are alive; join or terminate one before starting the next");
  return place;
}

}  // namespace

std::shared_ptr<ThreadCore> ThreadCore::create(StartRoutine routine, void* parameter, ThreadOptions options,
                                               Starter starter) {
  if (options.name.empty()) options.name = next_name();
  auto place = take_place(starter.budget);
  const auto core = std::make_shared<ThreadCore>(std::move(options), Values{});
  core->routine_ = routine;
  core->parameter_ = parameter;
  core->place_ = std::move(place);
  return core;
}

std::shared_ptr<ThreadCore> ThreadCore::create(const Code& code, Values args, ThreadOptions options,
                                               Starter starter) {
  if (options.name.empty()) options.name = next_name();
  auto place = take_place(starter.budget);
  StateOptions state = options.state();
  // What holds things of the host stays with the state alone, and goes with it.
  options.globals.clear();
  options.modules.clear();
  options.output = nullptr;
  std::vector<Channel> closes = std::move(options.closes);
  std::optional<Channel> notify = std::move(options.notify);
  options.closes.clear();
  options.notify.reset();
  const auto core = std::make_shared<ThreadCore>(std::move(options), std::move(args));
  core->closes_ = std::move(closes);
  core->notify_ = std::move(notify);
  core->place_ = std::move(place);
  core->charge_ = std::move(starter.charge);
  core->interpreter_ = std::make_unique<Interpreter>(
      std::move(state), core->options_.name, std::move(starter.budget), std::move(starter.given_away));
  core->interpreter_->compile(code.named(core->options_.chunk_name));
  return core;
}

ThreadCore::ThreadCore(ThreadOptions options, Values args)
    : options_(std::move(options)),
      generation_(fork_generation()),
      stop_(std::make_shared<Stop>(options_.grace)),
      args_(std::move(args)),
      status_(Status::suspended) {
  note_.thread = options_.name;
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
  begin_talking();
  try {
    if (!options_.suspended) {
      started_ = true;
      self_ = shared_from_this();
      status_.store(Status::running, std::memory_order_release);
      started_at_.store(now_ns(), std::memory_order_relaxed);
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
    unbegin_talking();
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
  if (status_.load(std::memory_order_relaxed) != Status::suspended)
    throw std::logic_error("this OSThread was stopped before it was started");
  registry::add(shared_from_this());  // first: it may throw
  started_ = true;
  status_.store(Status::running, std::memory_order_release);
  started_at_.store(now_ns(), std::memory_order_relaxed);
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
  place_.reset();
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
  set_wait_note(&note_);
  set_holdings(&holdings_);
  Outcome outcome = routine_ ? run_routine() : run_chunk();
  stop_->close();
  memory_.store(0, std::memory_order_relaxed);
  if (interpreter_) peak_memory_.store(interpreter_->vm().quota().peak(), std::memory_order_relaxed);
  cpu_seconds_.store(current_cpu_seconds(), std::memory_order_relaxed);
  wall_seconds_.store(seconds_since(started_at_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  const Status status = status_of(outcome);
  place_.reset();  // before: whoever joins it may start the next
  // As is what it was lent: memory, for one, that is pinned as long as somebody has it.
  args_.clear();
  if (interpreter_) interpreter_->vm().give_back_handles();
  publish(std::move(outcome), status);
  registry::set_current(nullptr);
  set_wait_note(nullptr);
  set_holdings(nullptr);
  holdings_->pass_on();  // what its callbacks have kept, or its code after it was given up
  registry::remove(this);
  std::unique_ptr<Interpreter> dropped;  // after the lock: what it holds may call anything
  const std::lock_guard lock(mutex_);    // statistics() may look at it
  dropped.swap(interpreter_);
}

Outcome ThreadCore::run_chunk() {
  Outcome outcome;
  const Orphans orphans;
  try {
    stop_->bind(interrupt::this_thread());
    if (stop_->reason() != StopReason::none) keep_asking(stop_);  // asked while there was nobody to poke
    if (options_.time_limit) bound_time(stop_, *options_.time_limit);
    outcome = interpreter_->run(args_, *stop_);
    leave_owned(outcome);
  } catch (const std::exception&) {
    outcome.ending = Ending::failed;
    outcome.error = std::current_exception();
  }
  stop_->begin_finalizers();
  try {
    if (interpreter_->finalize(*stop_)) outcome = std::move(*interpreter_->take_left());
  } catch (const std::exception&) {
    outcome.ending = Ending::failed;  // no memory to tell how they were left
    outcome.error = std::current_exception();
  }
  stop_->clear_deadline();
  end_owned(interpreter_->vm());
  orphans.wait();
  return outcome;
}

Outcome ThreadCore::run_routine() {
  Outcome outcome;
  try {
    outcome.results = {Value(routine_(parameter_))};
  } catch (const std::exception&) {
    outcome.ending = Ending::failed;
    outcome.error = std::current_exception();
  }
  return outcome;
}

void ThreadCore::publish(Outcome outcome, Status status, Callbacks where) {
  std::vector<std::function<void()>> callbacks;
  const std::size_t held = charge_ ? footprint(outcome.results) + footprint(outcome.error) : 0;
  {
    const std::lock_guard lock(mutex_);
    if (ended()) return;  // abandoned meanwhile: that was said, so it stands
    charge_.grow(held);
    outcome_ = std::move(outcome);
    if (forgotten_) outcome_.results.clear();
    callbacks.swap(callbacks_);
    status_.store(status, std::memory_order_release);
  }
  if (launched_) end_talking();
  settled_.store(true, std::memory_order_release);  // release: what was closed is seen to be
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

Wait ThreadCore::wait(std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept {
  const auto over = [this] { return settled(); };
  const Wait wait = Blocking(done_, caller, "join", this, deadline).until(over);
  // It has ended, and is about to say so: whoever was told of that by `notify` may ask before it has done so.
  if (wait == Wait::timed_out && ended() && ident() != current_ident())
    return Blocking(done_, caller, "join", this, std::nullopt).until(over);
  return wait;
}

Wait ThreadCore::wait_held(Clock::time_point deadline) noexcept {
  if (registry::current() == this) return Wait::over;  // it waits here, so it is not held
  return Blocking(stop_->holding(), Blocking::Caller::host, "pause", this, deadline).until([this] {
    return stop_->held() || !stop_->pausing();
  });
}

void ThreadCore::wait_for_end() noexcept {
  for (;;) {
    const Wait outcome = wait(std::nullopt);
    if (outcome == Wait::over) return;
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

bool ThreadCore::forgotten() const noexcept {
  if (inherited()) return true;
  const std::lock_guard lock(mutex_);
  return forgotten_;
}

const Outcome& ThreadCore::outcome() const { return outcome_; }

std::optional<Outcome> ThreadCore::shared_outcome() const {
  if (inherited() || !ended()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (status_.load(std::memory_order_relaxed) != Status::finished && !outcome_.error) return std::nullopt;
  if (results_released_) return std::nullopt;
  return outcome_;
}

void ThreadCore::release_results() noexcept {
  if (inherited() || !ended()) return;
  Values released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  results_released_ = true;
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

bool ThreadCore::settled() const noexcept {
  return settled_.load(std::memory_order_acquire) || (inherited() && ended());
}

std::optional<std::vector<Frame>> ThreadCore::stack(Clock::time_point deadline) {
  if (ended() || status() == Status::suspended) return std::vector<Frame>{};
  if (routine_) return std::vector<Frame>{};
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
  if ((now == Status::running || now == Status::paused) && (interpreter_ || routine_)) {
    statistics.cpu_seconds = std::max(0.0, thread_cpu_seconds(ident_.load(std::memory_order_relaxed)));
    statistics.wall_seconds = seconds_since(started_at_.load(std::memory_order_relaxed));
    if (interpreter_) {
      statistics.memory = interpreter_->vm().quota().used();
      statistics.peak_memory = interpreter_->vm().quota().peak();
    }
    if (const char* what = note_.what.load(std::memory_order_acquire)) {
      statistics.waiting_for = what;
      statistics.waiting_seconds = seconds_since(note_.since.load(std::memory_order_relaxed));
    }
  } else {
    statistics.cpu_seconds = cpu_seconds_.load(std::memory_order_relaxed);
    statistics.wall_seconds = wall_seconds_.load(std::memory_order_relaxed);
    statistics.peak_memory = peak_memory_.load(std::memory_order_relaxed);
    if (ended()) statistics.leaked = outcome_.leaked;
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

}  // namespace osthread
