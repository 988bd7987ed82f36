#include "pool_job.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace osthread {
namespace {

constinit AdaptiveSpin spin;  // of all waits for results

}  // namespace

PoolJob::PoolJob(Work work)
    : function_(std::move(work.function)),
      maker_(std::move(work.maker)),
      make_of_(std::move(work.make_of)),
      count_(work.count),
      chunk_(std::clamp<std::size_t>(work.chunk, 1, std::max<std::size_t>(work.count, 1))),
      arity_(work.count == 0 ? 0 : work.arguments.size() / work.count),
      arguments_(std::move(work.arguments)),
      items_(std::make_unique<Item[]>(work.count)),
      unsettled_(work.count),
      done_(work.count == 0) {}

std::size_t PoolJob::take(std::size_t& first) noexcept {
  // Looked at first, so that workers that come again and again do not carry it round the end of its range.
  if (exhausted()) return 0;
  // Relaxed: the job came here through a lock; what is taken is the taker's alone.
  first = next_.fetch_add(chunk_, std::memory_order_relaxed);
  return first >= count_ ? 0 : std::min(chunk_, count_ - first);
}

// Whoever gives up a worker that does not come back settles in its place; it may come back all the same.
bool PoolJob::claim(std::size_t item) noexcept {
  State open = State::open;
  return items_[item].state.compare_exchange_strong(open, State::settling, std::memory_order_relaxed);
}

void PoolJob::finish(std::size_t item, Values results) noexcept {
  if (!claim(item)) return;
  Item& place = items_[item];
  State state = State::finished;
  if (results.size() == 1) {
    place.result = std::move(results.front());
  } else {
    try {
      place.results = std::make_unique<Values>(std::move(results));
    } catch (const std::bad_alloc&) {
      state = State::failed;  // without an error: error() then says that there was no memory
    }
  }
  settle(item, state);
}

void PoolJob::fail(std::size_t item, std::exception_ptr error, std::vector<Frame> frames) noexcept {
  if (!claim(item)) return;
  try {
    items_[item].failure = std::make_unique<Failure>(Failure{std::move(error), std::move(frames)});
  } catch (const std::bad_alloc&) {
    items_[item].failure = nullptr;  // as above
  }
  settle(item, State::failed);
}

void PoolJob::drop(std::size_t item) noexcept {
  if (!claim(item)) return;
  settle(item, State::cancelled);
}

void PoolJob::cancel(const std::exception_ptr& error) noexcept {
  cancelled_.store(true, std::memory_order_release);
  const std::size_t first = std::min(next_.exchange(count_, std::memory_order_relaxed), count_);
  for (std::size_t item = first; item < count_; ++item) error ? fail(item, error) : drop(item);
}

void PoolJob::fail_open(const std::exception_ptr& error) noexcept {
  given_up_.store(true, std::memory_order_relaxed);
  cancel(error);
  for (std::size_t item = 0; item < count_; ++item) fail(item, error);
}

void PoolJob::settle(std::size_t item, State state) noexcept {
  // What it was lent goes before its result is there: memory, for one, that is pinned as long as somebody has
  // it. A worker that was given up may be reading it still.
  if (!given_up_.load(std::memory_order_relaxed))
    for (std::size_t i = item * arity_; i < (item + 1) * arity_; ++i) arguments_[i] = Value();
  if (tally_)
    (state == State::finished ? tally_->finished
     : state == State::failed ? tally_->failed
                              : tally_->cancelled)
        .fetch_add(1, std::memory_order_relaxed);
  // Sequentially consistent, as is the waiter's: it writes awaited_ and then reads this, we do it the other
  // way round. With anything weaker both could read the old value, and it would sleep for ever.
  items_[item].state.store(state, std::memory_order_seq_cst);
  if (state == State::failed) failed_.store(true, std::memory_order_seq_cst);
  count_down(item);
}

void PoolJob::count_down(std::size_t settled) noexcept {
  // Acquire and release: whoever counts the last one has the others before it.
  const bool last = unsettled_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  if (last) {
    make_of_.clear();
    if (observer_) observer_->done(shared_from_this());
    done_.store(true, std::memory_order_seq_cst);  // as above
  }
  const std::size_t awaited = awaited_.load(std::memory_order_seq_cst);
  if (awaited != kNobody &&
      (awaited == settled || awaited == kAny || (awaited == kAll && (last || failed_.load()))))
    settled_.wake_all();
  if (last && awaited == kNobody && observer_) observer_->unawaited();
}

bool PoolJob::settled(std::size_t item) const noexcept {
  return items_[item].state.load(std::memory_order_seq_cst) > State::settling;
}

TaskStatus PoolJob::status(std::size_t item) const noexcept {
  switch (items_[item].state.load(std::memory_order_acquire)) {
    case State::finished:
      return TaskStatus::finished;
    case State::failed:
      return TaskStatus::failed;
    case State::cancelled:
      return TaskStatus::cancelled;
    case State::open:
    case State::settling:
      break;
  }
  return item < next_.load(std::memory_order_relaxed) ? TaskStatus::running : TaskStatus::queued;
}

// While one lives, a settled item wakes its waiter.
class PoolJob::Awaiting {
 public:
  Awaiting(PoolJob& job, std::size_t item) : job_(job) {
    const std::lock_guard lock(job.waiting_);
    job.awaited_.store(job.waiters_++ == 0 ? item : kAny, std::memory_order_seq_cst);
  }
  ~Awaiting() {
    const std::lock_guard lock(job_.waiting_);
    if (--job_.waiters_ == 0) job_.awaited_.store(kNobody, std::memory_order_seq_cst);
  }
  Awaiting(const Awaiting&) = delete;
  Awaiting& operator=(const Awaiting&) = delete;

 private:
  PoolJob& job_;
};

Wait PoolJob::wait(std::size_t item, std::optional<Clock::time_point> deadline,
                   Blocking::Caller caller) noexcept {
  return wait_for(item, deadline, caller, [this, item] { return settled(item); });
}

Wait PoolJob::wait(std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept {
  return wait_for(kAll, deadline, caller, [this] { return done(); });
}

Wait PoolJob::wait_through(std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept {
  return wait_for(kAll, deadline, caller, [this] { return done() || failed_.load(); });
}

template <class Over>
Wait PoolJob::wait_for(std::size_t item, std::optional<Clock::time_point> deadline, Blocking::Caller caller,
                       Over over) noexcept {
  if (over()) return Wait::over;
  const Awaiting awaiting(*this, item);
  if (over() || spin.until(over, deadline)) return Wait::over;
  return Blocking(settled_, caller, "task", this, deadline).until(over);
}

Values PoolJob::results(std::size_t item) const {
  if (const std::exception_ptr failure = error(item)) std::rethrow_exception(failure);
  const Item& place = items_[item];
  return place.results ? *place.results : Values{place.result};
}

std::exception_ptr PoolJob::error(std::size_t item) const {
  const Item& place = items_[item];
  switch (place.state.load(std::memory_order_acquire)) {
    case State::open:
    case State::settling:
      throw std::logic_error("this task has not ended");
    case State::finished:
      return nullptr;
    case State::cancelled:
      return std::make_exception_ptr(TaskCancelled("the task was cancelled before it began"));
    case State::failed:
      break;
  }
  return place.failure ? place.failure->error : std::make_exception_ptr(std::bad_alloc());
}

std::vector<Frame> PoolJob::error_frames(std::size_t item) const {
  const Item& place = items_[item];
  return place.failure ? place.failure->frames : std::vector<Frame>();
}

void PoolJob::forget(std::size_t item) noexcept {
  Item& place = items_[item];
  place.result = Value();
  place.results = nullptr;
  place.failure = nullptr;
}

}  // namespace osthread
