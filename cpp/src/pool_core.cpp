#include "pool_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "adaptive_spin.hpp"
#include "deadline.hpp"
#include "fork.hpp"
#include "pool_worker.hpp"
#include "state_core.hpp"

namespace osthread {
namespace {

constinit std::atomic<unsigned> pools{0};

// How long a worker looks for a job before it sleeps: about what waking a thread takes.
constexpr std::chrono::microseconds kLook{50};

// How many sources a pool knows as functions; then it begins anew.
constexpr std::size_t kMostSources = 256;

PoolOptions checked(PoolOptions options) {
  const ThreadOptions& threads = options.threads;
  const char* const refused = threads.suspended                 ? "suspended"
                              : threads.on_exit != OnExit::join ? "on_exit"
                              : !threads.chunk_name.empty()     ? "chunk_name"
                              : !threads.closes.empty()         ? "closes"
                              : threads.notify.has_value()      ? "notify"
                                                                : nullptr;
  if (refused)
    throw std::invalid_argument(std::string(refused) + " is an option of a single thread, not of a pool's");
  if (options.max_workers == 0) options.max_workers = usable_cpus();
  if (options.threads.name.empty())
    options.threads.name = "LuaPool-" + std::to_string(pools.fetch_add(1, std::memory_order_relaxed) + 1);
  return options;
}

}  // namespace

PoolCore::PoolCore(PoolOptions options)
    : options_(checked(std::move(options))),
      generation_(fork_generation()),
      spare_(std::make_unique<StateCore>(options_.threads.state())) {
  ++states_;
  if (!options_.setup.empty()) setup_ = compile_function(Code(options_.setup, "=setup"));
}

PoolCore::~PoolCore() {
  if (generation_ != fork_generation()) (void)spare_.release();
}

void PoolCore::require_usable() const {
  if (generation_ != fork_generation())
    throw std::logic_error("this LuaPool was made before the fork: its workers are in the parent, not here");
}

Value PoolCore::function_of(const Code& code) {
  require_usable();
  if (!code.function().is_nil()) return code.function();
  const std::string key = code.chunk_name() + '\n' + code.source();
  {
    const std::lock_guard lock(functions_mutex_);
    if (const auto found = functions_.find(key); found != functions_.end()) return found->second;
  }
  const Value function = compile_function(code);
  const std::lock_guard lock(functions_mutex_);
  if (functions_.size() >= kMostSources) functions_.clear();
  return functions_.emplace(key, function).first->second;
}

void PoolCore::submit(std::shared_ptr<PoolJob> job) {
  require_usable();
  const std::size_t count = job->count();
  if (count == 0) return;
  job->count_in(tally_);
  {
    const std::lock_guard lock(mutex_);
    if (broken_) std::rethrow_exception(broken_);
    if (closing_) throw std::logic_error("this LuaPool has been shut down: it takes no more tasks");
    queue_.push_back(std::move(job));
    const std::size_t wanted = queue_.size() - 1 + std::min(count, options_.max_workers);
    try {
      while (idle_ < wanted && workers_.size() < options_.max_workers) add_worker();
    } catch (const std::exception&) {  // no thread can be made, or there is no memory for it
      if (workers_.empty()) {
        queue_.pop_back();
        throw;
      }  // else those that there are do it
    }
    submitted_.fetch_add(count, std::memory_order_relaxed);
    pending_.store(queue_.size(), std::memory_order_seq_cst);  // see look()
  }
  if (count > 1)
    changed_.wake_all();
  else if (!looking_.load(std::memory_order_seq_cst))
    changed_.wake_one();
}

void PoolCore::add_worker() {
  auto worker =
      std::make_shared<PoolWorker>(shared_from_this(), options_.threads.name + "/" + std::to_string(++made_));
  workers_.reserve(workers_.size() + 1);
  worker->start();
  workers_.push_back(std::move(worker));
  ++idle_;  // until it has something to do
}

// The first that has items left. Those that have none are through, as far as the queue goes.
std::shared_ptr<PoolJob> PoolCore::take_locked() noexcept {
  std::shared_ptr<PoolJob> job;
  while (!queue_.empty() && queue_.front()->exhausted()) queue_.pop_front();
  if (!queue_.empty()) {
    job = queue_.front();
    if (job->count() == 1) queue_.pop_front();
  }
  pending_.store(queue_.size(), std::memory_order_relaxed);
  return job;
}

std::shared_ptr<PoolJob> PoolCore::next(PoolWorker& worker, bool idle) {
  // When it has rested, from its first sleep on: jobs that others take don't put that off.
  std::optional<Clock::time_point> rested;
  bool tidy = false;
  for (;;) {
    const Waiter::Ticket ticket = changed_.ticket();
    {
      const std::lock_guard lock(mutex_);
      std::shared_ptr<PoolJob> job = take_locked();
      if (job || closing_) {
        idle_ -= idle;
        // Who has looked for a job stood for all that sleep.
        if (job && idle_ > 0 && !queue_.empty()) changed_.wake_one();
        return job;
      }
      idle_ += !idle;
      idle = true;
    }
    if (look()) continue;
    if (!tidy && !rested) rested = Clock::now() + worker.rest();
    if (changed_.park(ticket, rested) != Waiter::Outcome::timed_out) continue;
    {
      const std::lock_guard lock(mutex_);
      if (!queue_.empty() || closing_) continue;
      --idle_;  // finalizers may take long, and another one is to be there for what comes
      idle = false;
    }
    rested.reset();
    tidy = true;
    worker.tidy_up();
  }
}

// One idle worker at a time stays awake for a moment: to whoever submits one task after another that spares
// the waking of a thread for each. Whether a job has come.
bool PoolCore::look() noexcept {
  if (!has_several_cpus() || looking_.exchange(true, std::memory_order_seq_cst)) return false;
  const Clock::time_point end = Clock::now() + kLook;
  do {
    for (int i = 0; i < 16 && pending_.load(std::memory_order_relaxed) == 0; ++i) relax_cpu();
  } while (pending_.load(std::memory_order_relaxed) == 0 && Clock::now() < end);
  // Sequentially consistent, as in submit(), which writes the one and reads the other: else a job could come
  // that nobody is woken for, and nobody sees.
  looking_.store(false, std::memory_order_seq_cst);
  return pending_.load(std::memory_order_seq_cst) != 0;
}

std::unique_ptr<StateCore> PoolCore::make_state() {
  std::unique_ptr<StateCore> state;
  {
    const std::lock_guard lock(mutex_);
    state = std::move(spare_);
  }
  if (!state) {
    state = std::make_unique<StateCore>(options_.threads.state());
    states_.fetch_add(1, std::memory_order_relaxed);
  }
  return state;
}

void PoolCore::set_up(StateCore& state, const PoolJob& job) {
  if (setup_.is_nil()) return;
  state.run([&](Interpreter& interpreter, Stop& stop) {
    if (job.cancelled())  // before there was anything to stop
      throw Stopped({.message = "stopped before its setup", .frames = {}, .value = nullptr, .thread = {}},
                    StopStage::interrupt);
    interpreter.compile(Code(setup_));
    return interpreter.run({}, stop);
  });
}

std::exception_ptr PoolCore::break_down(const std::exception_ptr& cause) noexcept {
  std::exception_ptr error;
  try {
    error =
        std::make_exception_ptr(BrokenPool("the pool's setup has failed, so nothing can run in it", cause));
  } catch (const std::bad_alloc&) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    if (broken_)
      error = broken_;  // another worker was first, and may have been why this one's setup was stopped
    else
      broken_ = error;
  }
  drop_queue(error);
  return error;
}

bool PoolCore::is_broken() noexcept {
  const std::lock_guard lock(mutex_);
  return broken_ != nullptr;
}

// As cancelled, without an error.
void PoolCore::drop_queue(const std::exception_ptr& error) noexcept {
  std::deque<std::shared_ptr<PoolJob>> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(queue_);
    pending_.store(0, std::memory_order_relaxed);
  }
  for (const std::shared_ptr<PoolJob>& job : dropped) job->cancel(error);
}

std::vector<std::shared_ptr<PoolWorker>> PoolCore::workers() {
  const std::lock_guard lock(mutex_);
  return workers_;
}

bool PoolCore::cancel(const std::shared_ptr<PoolJob>& job) {
  require_usable();
  if (job->done()) return false;
  job->cancel();
  for (const std::shared_ptr<PoolWorker>& worker : workers()) worker->stop(*job);
  return true;
}

void PoolCore::close(bool cancel) noexcept {
  if (generation_ != fork_generation()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  if (cancel) drop_queue(nullptr);
  changed_.wake_all();
}

void PoolCore::stop_all() noexcept {
  if (generation_ != fork_generation()) return;
  close(true);
  for (const std::shared_ptr<PoolWorker>& worker : workers()) worker->stop();
}

void PoolCore::leave(const PoolWorker& worker) noexcept {
  std::shared_ptr<PoolWorker> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(workers_.begin(), workers_.end(),
                                    [&](const auto& each) { return each.get() == &worker; });
    if (found == workers_.end()) return;  // it was given up
    gone = std::move(*found);
    workers_.erase(found);
  }
  gone_.wake_all();
}

Wait PoolCore::wait(std::optional<Clock::time_point> deadline, Blocking::Caller caller) {
  require_usable();
  for (const std::shared_ptr<PoolWorker>& worker : workers())
    if (worker->is_current())
      throw std::logic_error("a task can't wait for the end of the pool that runs it");
  return Blocking(gone_, caller, "pool", this, deadline).until([this] {
    const std::lock_guard lock(mutex_);
    return workers_.empty();
  });
}

Clock::time_point PoolCore::stopped_by() const noexcept {
  const std::chrono::nanoseconds grace = options_.threads.grace;
  return deadline_after(sum_of(sum_of(grace, grace), 2 * kBusyMachine));
}

std::size_t PoolCore::abandon() noexcept {
  std::vector<std::shared_ptr<PoolWorker>> lost;
  {
    const std::lock_guard lock(mutex_);
    lost.swap(workers_);
  }
  for (const std::shared_ptr<PoolWorker>& worker : lost) worker->abandon();
  gone_.wake_all();
  return lost.size();
}

PoolStatistics PoolCore::statistics() {
  PoolStatistics now{.max_workers = options_.max_workers,
                     .finished = tally_->finished.load(std::memory_order_relaxed),
                     .failed = tally_->failed.load(std::memory_order_relaxed),
                     .cancelled = tally_->cancelled.load(std::memory_order_relaxed),
                     .states = states_.load(std::memory_order_relaxed)};
  if (generation_ != fork_generation()) return now;
  const std::lock_guard lock(mutex_);
  now.workers = workers_.size();
  now.idle = idle_;
  for (const std::shared_ptr<PoolWorker>& worker : workers_) now.running += worker->is_busy();
  const std::size_t begun = now.finished + now.failed + now.cancelled + now.running;
  const std::size_t submitted = submitted_.load(std::memory_order_relaxed);
  now.queued = submitted > begun ? submitted - begun : 0;
  return now;
}

}  // namespace osthread
