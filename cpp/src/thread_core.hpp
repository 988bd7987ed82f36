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

#include "interpreter.hpp"
#include "osthread/osthread.hpp"
#include "run.hpp"
#include "waiter.hpp"

namespace osthread {

// For a function that Lua calls and whose wait came to nothing, as that Lua code is being stopped.
std::exception_ptr stopped_in_wait();

class ThreadCore : public std::enable_shared_from_this<ThreadCore> {
 public:
  // Compiled, but without a native thread until launch(), which starts it unless options.suspended.
  static std::shared_ptr<ThreadCore> create(const Code& code, Values args, ThreadOptions options);
  void launch();
  ThreadCore(ThreadOptions options, Values args);
  ~ThreadCore();

  void start();
  void discard() noexcept;  // of one that never started
  Wait wait(std::optional<Clock::time_point> deadline) noexcept;
  // Waits whatever comes; a stop of the Lua code around the caller stops this thread too.
  void wait_for_end() noexcept;
  const Outcome& outcome() const;   // after the end
  void release_results() noexcept;  // whoever asked for them, or for the error, holds them now
  void release_error() noexcept;
  // Of one that was never started: the objects of the host that it alone holds.
  std::vector<Object*> objects() const;
  // The owner has gone: nobody asks for the results, which may hold a handle of this very thread.
  void forget() noexcept;

  Status status() const noexcept;
  bool ended() const noexcept;
  bool request_stop() noexcept;
  bool interrupt() noexcept;
  bool kill();  // std::runtime_error if it can't be had
  bool pause() noexcept;
  // Until it is held, or is not to be any more: it has ended, or was resumed or stopped.
  Wait wait_held(Clock::time_point deadline) noexcept;
  bool held() const noexcept { return stop_->held(); }
  bool resume() noexcept;
  // As OSThread::terminate; `look` is called when a signal came and says whether to go on waiting.
  Status terminate(std::chrono::nanoseconds grace, const std::function<bool()>& look = {});
  // The same without waiting: the watchdog takes the steps.
  void terminate_later() noexcept;

  std::optional<std::vector<Frame>> stack(Clock::time_point deadline);
  ThreadStatistics statistics() const;
  void on_end(std::function<void()> callback);

  const ThreadOptions& options() const noexcept { return options_; }
  std::uintptr_t ident() const noexcept { return ident_; }
  std::uint64_t native_id() const noexcept;
  Stop& stop() noexcept { return *stop_; }
  // On its own thread: whether this is the state it was made for.
  bool runs(const Vm& vm) const noexcept { return interpreter_ && &interpreter_->vm() == &vm; }
  void note_waiting(const char* what,
                    Clock::time_point since) noexcept;  // the native thread's; null: no more

 private:
  // Made by a process that this one was forked from: its thread is not here, and its lock may be held by one
  // that is not here either.
  bool inherited() const noexcept;
  template <class Over>
  Wait park(Waiter& waiter, std::optional<Clock::time_point> deadline, Run* run, Over over) noexcept;
  Wait wait_outside(std::optional<Clock::time_point> deadline) noexcept;
  static int main(void* core);
  void run();
  enum class Callbacks { here, elsewhere };
  void publish(Outcome outcome, Status status, Callbacks where = Callbacks::here);
  void abandon(Callbacks where);
  void give_up_later();

  const ThreadOptions options_;
  const std::uint32_t generation_;  // of the fork that made it
  std::shared_ptr<Stop> stop_;
  Values args_;
  std::unique_ptr<Interpreter> interpreter_;

  mutable std::mutex mutex_;
  Outcome outcome_;
  std::vector<std::function<void()>> callbacks_;
  NativeThread native_;  // while it is suspended; then detached
  bool launched_ = false;
  bool started_ = false;
  bool forgotten_ = false;
  std::shared_ptr<ThreadCore> self_;  // from the start until main() takes it over
  std::atomic<Status> status_;
  Waiter done_;
  mutable Waiter id_known_;

  std::atomic<std::uintptr_t> ident_{0};
  std::atomic<std::uint64_t> native_id_{0};
  std::atomic<std::int64_t> started_at_{0};  // Clock's nanoseconds
  std::atomic<double> cpu_seconds_{0};       // at its end
  std::atomic<double> wall_seconds_{0};
  std::atomic<std::size_t> memory_{0};
  std::atomic<std::size_t> peak_memory_{0};
  std::atomic<const char*> waiting_for_{nullptr};
  std::atomic<std::int64_t> waiting_since_{0};
};

}  // namespace osthread
