// A PoolJob is what a pool is given: one function, to be called with each of a number of argument lists, its
// items.
//
// Invariant: an item is taken by one thread alone, in order: by a worker, which then settles it, or by a
// cancellation, which settles all that nobody has taken. It is settled once; its result is written before its
// state says so, and not changed after. The job is done when all items are settled and its observer has been
// told.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "blocking.hpp"
#include "host_pool.hpp"
#include "osthread/lua_pool.hpp"

namespace osthread {

// How the items of a pool's jobs have ended.
struct PoolTally {
  std::atomic<std::size_t> finished{0};
  std::atomic<std::size_t> failed{0};
  std::atomic<std::size_t> cancelled{0};
};

class PoolJob : public std::enable_shared_from_this<PoolJob> {
 public:
  // `arguments`: those of one item after another, as many for each.
  struct Work {
    Value function{};
    // The function to call is what `maker` returns for that one, which of these are objects new to the state,
    // and these; called without arguments it gives them back.
    Value maker{};
    Values make_of{};
    std::size_t count = 1;
    Values arguments{};
    std::size_t chunk = 1;  // how many items a worker takes at a time
  };
  explicit PoolJob(Work work);
  PoolJob(const PoolJob&) = delete;
  PoolJob& operator=(const PoolJob&) = delete;

  std::size_t count() const noexcept { return count_; }
  const Value& function() const noexcept { return function_; }
  const Value& maker() const noexcept { return maker_; }  // nil: none
  const Values& make_of() const noexcept { return make_of_; }

  // --- Of the workers ---

  bool exhausted() const noexcept { return next_.load(std::memory_order_relaxed) >= count_; }
  // The next items, a chunk at most: where they begin; how many.
  std::size_t take(std::size_t& first) noexcept;
  std::span<const Value> arguments(std::size_t item) const noexcept {
    return std::span(arguments_).subspan(item * arity_, arity_);
  }
  // Each settles an item, unless that was given up meanwhile.
  void finish(std::size_t item, Values results) noexcept;
  void fail(std::size_t item, std::exception_ptr error, std::vector<Frame> frames = {}) noexcept;
  void drop(std::size_t item) noexcept;  // as cancelled
  // What the job lends a worker that has an item of it: it is not done before that was given back.
  void lend() noexcept { unsettled_.fetch_add(1, std::memory_order_relaxed); }
  void take_back() noexcept { count_down(kNobody); }

  // Settles all that is left in the place of workers that do not come back.
  void fail_open(const std::exception_ptr& error) noexcept;

  // --- Of the owner ---

  // Nobody takes anything any more: what has not been taken is cancelled, or fails with the error.
  void cancel(const std::exception_ptr& error = nullptr) noexcept;
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  TaskStatus status(std::size_t item) const noexcept;
  bool done() const noexcept { return done_.load(std::memory_order_seq_cst); }
  bool settled(std::size_t item) const noexcept;
  Wait wait(std::size_t item, std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept;
  Wait wait(std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept;
  // Until it is done, or something in it has failed.
  Wait wait_through(std::optional<Clock::time_point> deadline, Blocking::Caller caller) noexcept;

  // Of a settled item. LuaError, or whatever the host's functions threw; TaskCancelled.
  Values results(std::size_t item) const;
  std::exception_ptr error(std::size_t item) const;
  std::vector<Frame> error_frames(std::size_t item) const;
  void forget(std::size_t item) noexcept;  // whoever asked for them holds them now, and nobody asks again

  // Both before the first worker sees the job.
  void count_in(std::shared_ptr<PoolTally> tally) noexcept { tally_ = std::move(tally); }
  void observe(std::unique_ptr<host::TaskObserver> observer) noexcept { observer_ = std::move(observer); }

 private:
  enum class State : std::uint8_t { open, settling, finished, failed, cancelled };
  struct Failure {
    std::exception_ptr error;
    std::vector<Frame> frames;
  };
  struct Item {
    Value result;                     // the only one
    std::unique_ptr<Values> results;  // if it is not one
    std::unique_ptr<Failure> failure;
    std::atomic<State> state{State::open};
  };

  // Of awaited_: an item, or one of these.
  static constexpr std::size_t kNobody = ~std::size_t{0};
  static constexpr std::size_t kAny = kNobody - 1;  // several wait
  static constexpr std::size_t kAll = kAny - 1;     // for the end, or a failure
  class Awaiting;

  bool claim(std::size_t item) noexcept;
  void settle(std::size_t item, State state) noexcept;
  void count_down(std::size_t settled) noexcept;
  template <class Over>
  Wait wait_for(std::size_t item, std::optional<Clock::time_point> deadline, Blocking::Caller caller,
                Over over) noexcept;

  const Value function_;
  const Value maker_;
  Values make_of_;  // given up when the job is done
  const std::size_t count_;
  const std::size_t chunk_;
  const std::size_t arity_;
  Values arguments_;  // of each item: its taker's
  std::unique_ptr<Item[]> items_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> unsettled_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> given_up_{false};  // some of its workers were
  std::atomic<bool> failed_{false};
  std::atomic<bool> done_;
  std::unique_ptr<host::TaskObserver> observer_;
  std::shared_ptr<PoolTally> tally_;

  std::mutex waiting_;  // of how many wait
  std::size_t waiters_ = 0;
  std::atomic<std::size_t> awaited_{kNobody};
  Waiter settled_;
};

}  // namespace osthread
