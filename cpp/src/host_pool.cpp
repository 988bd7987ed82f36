#include "host_pool.hpp"

#include <atomic>
#include <mutex>
#include <utility>

#include "fork.hpp"
#include "pool_arrays.hpp"
#include "pool_core.hpp"
#include "registry.hpp"

namespace osthread::host {

TaskObserver::~TaskObserver() = default;

// Invariant: there is at most one thread, which has a share of this; `running` says so, under the mutex.
struct Bell::State {
  std::string name;
  std::function<bool()> answer;
  std::uint32_t generation = fork_generation();
  std::mutex mutex;
  bool running = false;
  bool over = false;
  std::shared_ptr<State> self;  // the thread's share, until it takes it over
  Waiter rung;
  std::atomic<std::uintptr_t> thread{0};
};

Bell::Bell(std::string name, std::function<bool()> answer)
    : state_(std::make_shared<State>(std::move(name), std::move(answer))) {}

Bell::~Bell() {
  if (state_->generation != fork_generation()) return;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->running) return;
  }
  state_->rung.wake_one();  // it asks once more, and hears that it is over
}

bool Bell::ring() noexcept {
  State& state = *state_;
  if (state.generation != fork_generation()) return false;
  {
    const std::lock_guard lock(state.mutex);
    if (state.over) return false;
    if (!state.running) {
      registry::native_begins();
      state.self = state_;
      try {
        NativeThread(&Bell::main, &state, {.name = state.name}).detach();
        state.running = true;
      } catch (const std::exception&) {
        state.self = nullptr;
        registry::native_ends();
        return false;
      }
    }
  }
  state.rung.wake_one();
  return true;
}

bool Bell::is_current() const noexcept {
  return state_->thread.load(std::memory_order_relaxed) == current_ident();
}

int Bell::main(void* argument) {
  {
    std::shared_ptr<State> state;
    {
      auto& given = *static_cast<State*>(argument);
      const std::lock_guard lock(given.mutex);
      state = std::move(given.self);
    }
    state->thread.store(current_ident(), std::memory_order_relaxed);
    for (;;) {
      const Waiter::Ticket ticket = state->rung.ticket();
      if (!state->answer()) break;
      state->rung.park(ticket, std::nullopt);
    }
    const std::lock_guard lock(state->mutex);
    state->over = true;
  }
  registry::at_native_end();
  registry::native_ends();
  return 0;
}

Awaited::Awaited() : waiter_(std::make_unique<Waiter>()) {}
Awaited::~Awaited() = default;

Wait Awaited::wait(const std::function<bool()>& over, std::optional<Clock::time_point> deadline) {
  return Blocking(*waiter_, Blocking::Caller::host, "pool", this, deadline).until(over);
}

void Awaited::changed() noexcept { waiter_->wake_all(); }

Pool make_pool(PoolOptions options) { return std::make_shared<PoolCore>(std::move(options)); }

namespace {

Job submit(PoolCore& pool, PoolJob::Work work, std::unique_ptr<TaskObserver> observer) {
  auto job = std::make_shared<PoolJob>(std::move(work));
  job->observe(std::move(observer));
  pool.submit(job);
  return job;
}

}  // namespace

Job submit(PoolCore& pool, const Code& code, Values arguments, std::size_t count, std::size_t chunk,
           std::unique_ptr<TaskObserver> observer) {
  return submit(
      pool,
      {.function = pool.function_of(code), .count = count, .arguments = std::move(arguments), .chunk = chunk},
      std::move(observer));
}

Job submit_over(PoolCore& pool, const Code& code, const std::vector<SharedBuffer>& arrays,
                MapArrayOptions options) {
  return submit(pool, work_over(pool, code, arrays, std::move(options)), nullptr);
}

bool cancel(PoolCore& pool, const Job& job) { return pool.cancel(job); }
void close(PoolCore& pool, bool cancel) noexcept { pool.close(cancel); }
void stop_all(PoolCore& pool) noexcept { pool.stop_all(); }
Wait wait(PoolCore& pool, std::optional<Clock::time_point> deadline) {
  return pool.wait(deadline, Blocking::Caller::host);
}
void require_usable(const PoolCore& pool) { pool.require_usable(); }
Clock::time_point stopped_by(const PoolCore& pool) noexcept { return pool.stopped_by(); }
std::size_t abandon(PoolCore& pool) noexcept { return pool.abandon(); }
PoolStatistics statistics(PoolCore& pool) { return pool.statistics(); }
const PoolOptions& options(const PoolCore& pool) noexcept { return pool.options(); }

std::size_t count(const PoolJob& job) noexcept { return job.count(); }
TaskStatus status(const PoolJob& job, std::size_t item) noexcept { return job.status(item); }
bool done(const PoolJob& job) noexcept { return job.done(); }
bool settled(const PoolJob& job, std::size_t item) noexcept { return job.settled(item); }
Wait wait(const PoolCore& pool, PoolJob& job, std::optional<Clock::time_point> deadline) {
  pool.require_usable();
  return job.wait(deadline, Blocking::Caller::host);
}
Wait wait_through(const PoolCore& pool, PoolJob& job) {
  pool.require_usable();
  return job.wait_through(std::nullopt, Blocking::Caller::host);
}
Wait wait(const PoolCore& pool, PoolJob& job, std::size_t item, std::optional<Clock::time_point> deadline) {
  pool.require_usable();
  return job.wait(item, deadline, Blocking::Caller::host);
}
std::exception_ptr error(const PoolJob& job, std::size_t item) { return job.error(item); }
std::vector<Frame> error_frames(const PoolJob& job, std::size_t item) { return job.error_frames(item); }
Values results(const PoolJob& job, std::size_t item) { return job.results(item); }
void forget(PoolJob& job, std::size_t item) noexcept { job.forget(item); }

}  // namespace osthread::host
