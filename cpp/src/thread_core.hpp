// What an OSThread's owner, its native thread, and whoever else holds a handle share.
//
// Invariant: the outcome is published once, under mutex_, before status_ says so and before done_ wakes
// anybody; after that neither changes. The interpreter is the native thread's alone from start() on. The
// finalizers of the state have run when the outcome is published; only its memory is given back later.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "blocking.hpp"
#include "holdings.hpp"
#include "interpreter.hpp"
#include "memory_account.hpp"
#include "osthread/osthread.hpp"
#include "run.hpp"
#include "waiter.hpp"

namespace osthread {

// What a thread that Lua code starts counts towards: of the state whose code it is.
struct Starter {
  std::shared_ptr<ThreadBudget> budget{};       // null: no limit
  std::shared_ptr<MemoryAccount> given_away{};  // null: nobody counts
  MemoryCharge charge{};                        // for the thread itself, as long as there are handles of it
};

class ThreadCore : public std::enable_shared_from_this<ThreadCore> {
 public:
  // Compiled, but without a native thread until launch(), which starts it unless options.suspended.
  // std::runtime_error if nothing is left of the starter's budget.
  static std::shared_ptr<ThreadCore> create(const Code& code, Values args, ThreadOptions options,
                                            Starter starter = {});
  // Of a routine that is no Lua: it ends by itself alone, and its status is the result.
  static std::shared_ptr<ThreadCore> create(StartRoutine routine, void* parameter, ThreadOptions options,
                                            Starter starter = {});
  void launch();
  ThreadCore(ThreadOptions options, Values args);
  ~ThreadCore();

  void start();
  void discard() noexcept;  // of one that never started
  Wait wait(std::optional<Clock::time_point> deadline,
            Blocking::Caller caller = Blocking::Caller::host) noexcept;
  // Waits whatever comes; a stop of the Lua code around the caller stops this thread too.
  void wait_for_end() noexcept;
  const Outcome& outcome() const;  // after the end
  // The same for whoever shares it with others, as results or the error may have been released.
  std::optional<Outcome> shared_outcome() const;
  void release_results() noexcept;  // whoever asked for them, or for the error, holds them now
  void release_error() noexcept;
  // Of one that was never started: the objects of the host that it alone holds.
  std::vector<Object*> objects() const;
  // The owner has gone: nobody asks for the results, which may hold a handle of this very thread.
  void forget() noexcept;
  bool forgotten() const noexcept;

  Status status() const noexcept;
  bool ended() const noexcept;
  // And whatever its end closes and announces has been closed and announced: what a join waits for.
  bool settled() const noexcept;
  // This; std::logic_error if it runs a routine that is no Lua, which can't be stopped or held.
  ThreadCore& only_lua();
  bool request_stop() noexcept;
  bool interrupt() noexcept;
  bool kill();  // std::runtime_error if it can't be had
  bool pause() noexcept;
  // Until it is held, or is not to be any more: it has ended, or was resumed or stopped.
  Wait wait_held(Clock::time_point deadline) noexcept;
  bool held() const noexcept { return stop_->held(); }
  bool resume() noexcept;
  // As OSThread::terminate; `look` is called when a signal came and says whether to go on waiting. With
  // Caller::host a stop of the Lua code around the caller leaves the rest to the watchdog, and the status is
  // not the last one.
  Status terminate(std::chrono::nanoseconds grace, const std::function<bool()>& look = {},
                   Blocking::Caller caller = Blocking::Caller::outsider);
  // The same without waiting: the watchdog takes the steps.
  void terminate_later() noexcept;

  // Its mailbox, made when first asked for; closed when it has ended. std::logic_error after a fork.
  Channel mailbox();
  // What the channel of options.notify gets, asked for when the thread has ended, in place of a handle; nil:
  // nothing. Before launch().
  void announce_as(std::function<Value()> make);

  std::optional<std::vector<Frame>> stack(Clock::time_point deadline);
  ThreadStatistics statistics() const;
  void on_end(std::function<void()> callback);

  // What its owners say of it: that it shall run on without them, and that its error is known.
  void detach() noexcept { detached_.store(true, std::memory_order_relaxed); }
  bool detached() const noexcept { return detached_.load(std::memory_order_relaxed); }
  void note_fetched() noexcept { fetched_.store(true, std::memory_order_relaxed); }
  bool fetched() const noexcept { return fetched_.load(std::memory_order_relaxed); }

  const ThreadOptions& options() const noexcept { return options_; }
  std::uintptr_t ident() const noexcept { return ident_; }
  std::uint64_t native_id() const noexcept;
  Stop& stop() noexcept { return *stop_; }
  // On its own thread: whether this is the state it was made for.
  bool runs(const Vm& vm) const noexcept { return interpreter_ && &interpreter_->vm() == &vm; }

 private:
  // Made by a process that this one was forked from: its thread is not here, and its lock may be held by one
  // that is not here either.
  bool inherited() const noexcept;
  static int main(void* core);
  void run();
  Outcome run_chunk();
  Outcome run_routine();
  void leave_owned(Outcome& outcome);  // the threads that its code has started
  bool wait_beside(ThreadCore& other) noexcept;
  static void terminate_all(const std::vector<std::shared_ptr<ThreadCore>>& cores);
  void begin_talking() noexcept;    // its channels count on it
  void unbegin_talking() noexcept;  // it was not started after all
  void end_talking();               // once, when it has ended
  enum class Callbacks { here, elsewhere };
  void publish(Outcome outcome, Status status, Callbacks where = Callbacks::here);
  void abandon(Callbacks where);
  void give_up_later();

  const ThreadOptions options_;
  const std::uint32_t generation_;  // of the fork that made it
  std::shared_ptr<Stop> stop_;
  Values args_;
  std::unique_ptr<Interpreter> interpreter_;  // null: the routine
  StartRoutine routine_ = nullptr;
  void* parameter_ = nullptr;
  std::shared_ptr<void> place_;  // in the budget of who started it, until its end
  std::atomic<bool> detached_{false};
  std::atomic<bool> fetched_{false};

  mutable std::mutex mutex_;
  Outcome outcome_;
  MemoryCharge charge_;  // of mutex_: for it, and for what its outcome holds
  std::vector<std::function<void()>> callbacks_;
  std::optional<Channel> mailbox_;  // of mutex_
  // Not with the options, as they may lead back to this thread: given up at its end.
  std::vector<Channel> closes_;
  std::optional<Channel> notify_;
  std::function<Value()> announcement_;
  const std::shared_ptr<Holdings> holdings_ = std::make_shared<Holdings>();
  NativeThread native_;  // while it is suspended; then detached
  bool launched_ = false;
  bool started_ = false;
  bool forgotten_ = false;
  bool results_released_ = false;
  std::shared_ptr<ThreadCore> self_;  // from the start until main() takes it over
  std::atomic<Status> status_;
  std::atomic<bool> settled_{false};
  Waiter done_;
  mutable Waiter id_known_;

  std::atomic<std::uintptr_t> ident_{0};
  std::atomic<std::uint64_t> native_id_{0};
  std::atomic<std::int64_t> started_at_{0};  // Clock's nanoseconds
  std::atomic<double> cpu_seconds_{0};       // at its end
  std::atomic<double> wall_seconds_{0};
  std::atomic<std::size_t> memory_{0};
  std::atomic<std::size_t> peak_memory_{0};
  WaitNote note_;
};

}  // namespace osthread
