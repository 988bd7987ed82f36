// A PoolWorker is one native thread of a pool, with the state that its tasks run in.
//
// Invariant: job_ is what the thread works at, under mutex_; whoever wants to stop a task looks there, under
// it, and so never stops another one.
//
// Thread safety: everything but run() may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "holdings.hpp"
#include "pool_job.hpp"
#include "state_core.hpp"
#include "wait_note.hpp"

namespace osthread {

class PoolCore;

class PoolWorker : public std::enable_shared_from_this<PoolWorker> {
 public:
  PoolWorker(std::shared_ptr<PoolCore> pool, std::string name);

  // Makes the thread, which keeps this until it has ended. ThreadCreationError.
  void start();

  bool is_current() const noexcept;  // whether it is the calling thread
  bool is_busy() const noexcept;     // with an item
  // End what runs here, if it is of that job, or whatever it is, finalizers too: interrupt it, and kill what
  // has not answered when the grace time is over.
  void stop(const PoolJob& job) noexcept;
  void stop() noexcept;
  // On its thread, when there is nothing to do: objects of the host that are garbage in its state may hold
  // much memory, and what they hold, this pool.
  void tidy_up() noexcept;
  std::chrono::nanoseconds rest() const noexcept { return rest_; }  // after so long without a job
  // It does not come back from its item: the job's are settled in its place.
  void abandon() noexcept;

 private:
  // One that is made in the state.
  struct Function {
    Value function;  // keeps what the key is of
    const void* key;
    int kept;
  };

  static constexpr int kNothing = -1;
  static constexpr std::chrono::nanoseconds kShortRest = std::chrono::milliseconds(100);

  static int main(void* self);
  static int run_items(lua_State* L);
  void run();
  void work(const std::shared_ptr<PoolJob>& job);
  std::exception_ptr prepare(const PoolJob& job);
  void retire_state() noexcept;
  void run_some(PoolJob& job);
  int kept(Interpreter& interpreter, PoolJob& job);
  int kept(Interpreter& interpreter, const Value& function);
  void give_back() noexcept;
  bool take() noexcept;
  void read_results(lua_State* L) noexcept;
  template <class Is>
  void end_turn(Is is_meant) noexcept;
  void settle(Values results) noexcept;
  void settle(const std::exception_ptr& error) noexcept;

  const std::shared_ptr<PoolCore> pool_;
  const std::string name_;
  std::shared_ptr<PoolWorker> self_;  // from start() until the thread takes it over
  const std::shared_ptr<Holdings> holdings_ = std::make_shared<Holdings>();
  WaitNote note_;
  std::atomic<std::uintptr_t> ident_{0};

  mutable std::mutex mutex_;
  // Of mutex_, written by the thread alone.
  std::shared_ptr<PoolJob> job_;
  std::uint64_t turn_ = 0;  // changes with it
  bool stopping_ = false;   // of mutex_: whatever comes is to be ended
  std::unique_ptr<StateCore> state_;

  // Of the thread.
  std::vector<Function> functions_;  // the last used first
  std::size_t tasks_left_ = 0;       // of the state
  std::size_t most_ = 0;             // items of this run
  std::size_t item_ = 0;
  std::size_t next_item_ = 0;
  std::size_t taken_ = 0;  // how many from next_item_ on are this worker's
  std::chrono::nanoseconds rest_ = kShortRest;
  int made_ = kNothing;  // for this job alone, by its maker
  bool lent_ = false;    // whether the job counts on that being given back
  bool giving_back_ = false;
  std::atomic<bool> running_{false};  // whether item_ is being run
};

}  // namespace osthread
