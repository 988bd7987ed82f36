// What a LuaPool, its workers and its tasks share: the queue, and who works.
//
// Invariant, under mutex_: queue_ holds the jobs of which items may be left, in the order they came; a worker
// leaves a job in it until nothing is left of it, so that others join in. idle_ workers look at the queue or
// sleep; a job that comes while none is idle has a worker made for it, up to the most there may be. Workers
// end when closing_ and the queue is empty.
//
// Thread safety: everything may be called from any thread. After a fork the child's calls throw
// std::logic_error.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "blocking.hpp"
#include "osthread/lua_pool.hpp"
#include "pool_job.hpp"

namespace osthread {

class PoolWorker;
class StateCore;

class PoolCore : public std::enable_shared_from_this<PoolCore> {
 public:
  explicit PoolCore(PoolOptions options);
  ~PoolCore();
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;

  const PoolOptions& options() const noexcept { return options_; }
  std::size_t max_workers() const noexcept { return options_.max_workers; }

  // --- Of the owner ---

  void require_usable() const;  // std::logic_error after a fork
  // The code as a function that the states keep: the same for the same source. LuaSyntaxError.
  Value function_of(const Code& code);
  // std::logic_error after close(); BrokenPool.
  void submit(std::shared_ptr<PoolJob> job);
  // Whether it had not ended.
  bool cancel(const std::shared_ptr<PoolJob>& job);
  // Takes no more jobs; cancels those that nobody has begun, if asked to.
  void close(bool cancel) noexcept;
  // Ends what runs, too.
  void stop_all() noexcept;
  // Until all workers have ended. std::logic_error on one of them.
  Wait wait(std::optional<Clock::time_point> deadline, Blocking::Caller caller);
  // When they have, after stop_all(), unless they sit in foreign code.
  Clock::time_point stopped_by() const noexcept;
  // Gives up those that are still in foreign code: how many.
  std::size_t abandon() noexcept;
  PoolStatistics statistics();

  // --- Of the workers ---

  // The next job, when there is one; null: the worker is to end. `idle`: it is the first that it asks for.
  std::shared_ptr<PoolJob> next(PoolWorker& worker, bool idle);
  std::unique_ptr<StateCore> make_state();
  // Runs `setup` in it, for the job. Its errors.
  void set_up(StateCore& state, const PoolJob& job);
  // `setup`, or making a state, has failed: nothing can run any more. The error of all that was submitted.
  std::exception_ptr break_down(const std::exception_ptr& cause) noexcept;
  bool is_broken() noexcept;
  void leave(const PoolWorker& worker) noexcept;

 private:
  void add_worker();
  std::shared_ptr<PoolJob> take_locked() noexcept;
  bool look() noexcept;
  std::vector<std::shared_ptr<PoolWorker>> workers();
  void drop_queue(const std::exception_ptr& error) noexcept;

  const PoolOptions options_;
  const std::uint32_t generation_;
  Value setup_;  // the function; nil: none

  std::mutex functions_mutex_;
  std::unordered_map<std::string, Value> functions_;  // by chunk name and source

  std::mutex mutex_;
  std::deque<std::shared_ptr<PoolJob>> queue_;
  std::vector<std::shared_ptr<PoolWorker>> workers_;
  std::unique_ptr<StateCore>
      spare_;  // of mutex_: made by the constructor, which finds what is wrong with the options
  std::size_t idle_ = 0;
  std::size_t made_ = 0;  // threads, for their names
  bool closing_ = false;
  std::exception_ptr broken_;
  // For those who look before they sleep: how many jobs are in the queue, and whether one of them does.
  std::atomic<std::size_t> pending_{0};
  std::atomic<bool> looking_{false};
  Waiter changed_;  // a job came, or the end
  Waiter gone_;     // a worker has ended

  std::atomic<std::size_t> submitted_{0};  // items
  const std::shared_ptr<PoolTally> tally_ = std::make_shared<PoolTally>();
  std::atomic<std::size_t> states_{0};
};

}  // namespace osthread
