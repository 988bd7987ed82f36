// A Stop is what other threads say to one activation of Lua (run.hpp): to end, in one way or another, to
// pause, to tell where it is.
//
// The asker pokes the thread until it has answered: every 10 ms, because one poke can be lost (LuaJIT runs no
// hook inside __gc) and a script can remove a hook. A deadline is an ask of its own, at its time.
//
// Invariant: what the owner of the run sets, and who may be poked, changes under mutex_; what the run's
// thread reads in a signal handler or a hook is atomic.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "interrupt.hpp"
#include "lua_headers.hpp"
#include "memory_quota.hpp"
#include "osthread/error.hpp"
#include "waiter.hpp"

namespace osthread {

// How soon a stop that was not answered is asked for again.
inline constexpr std::chrono::milliseconds kAskAgain{10};
// And when the thread is to leave the VM, which it can do only at some of its instructions; at first.
inline constexpr std::chrono::milliseconds kLeaveAgain{1};
// How long raising at every instruction may take to end code that catches errors in thousands of frames,
// before the thread is to leave the VM.
inline constexpr std::chrono::milliseconds kUnwinding{200};
// How long code that can be interrupted may take to be so, once it is asked; and how long a thread may have
// to wait for a CPU until it hears of it.
inline constexpr std::chrono::milliseconds kAnswer = 2 * kAskAgain;
inline constexpr std::chrono::seconds kBusyMachine{1};
// How long a run may last until the host looks after it.
inline constexpr std::chrono::milliseconds kLookAfter{20};

enum class StopReason : std::uint8_t { none, interrupt, deadline };

// Whether the thread is to leave the VM: since a time limit was not answered, or since somebody says so.
enum class Leave : std::uint8_t { no, limit, killed };

class Stop : public std::enable_shared_from_this<Stop> {
 public:
  explicit Stop(std::chrono::nanoseconds grace) noexcept : grace_(grace) {}

  // What somebody has to be told: when to watch(), in place of the time told before; max: there is none.
  struct Watch {
    Clock::time_point at;
    Clock::time_point before;
  };

  // The runner's side. Between open() and close() there is something to stop; bind() names the thread that
  // runs it.
  void open() noexcept;
  void bind(interrupt::Target target) noexcept;
  // Both at once. `looked_after`: if it lasts, the host looks after it on its thread (set_look()). When
  // somebody has to be told to watch(), for that; nothing: an earlier call's watch does for this one too.
  std::optional<Watch> open_here(interrupt::Target target, bool looked_after) noexcept;
  // From here to close() finalizers run, which take no hook; a signal would only cut their system calls
  // short.
  void begin_finalizers() noexcept { take_signals(false); }
  void take_signals(bool taken) noexcept;
  void close() noexcept;

  // Asks; each returns whether there was something to stop that had not been asked so before.
  bool request() noexcept;
  bool ask(StopReason reason) noexcept;
  static const char* no_kill_because() noexcept;  // for an error's text; null: it can be had
  static bool can_kill() noexcept { return no_kill_because() == nullptr; }
  static void require_kill();  // std::runtime_error
  bool kill() noexcept;
  // Holds the thread at its next instruction, until it is resumed or asked to stop.
  bool pause() noexcept;
  bool resume() noexcept;
  bool held() const noexcept { return held_.load(std::memory_order_acquire); }
  bool pausing() const noexcept { return paused_.load(std::memory_order_acquire); }
  Waiter& holding() noexcept { return holding_; }  // woken when either changes

  // Wakes and pokes the thread if there is anything it has not answered. When to do so again; nothing: it is
  // over, or no thread is bound.
  std::optional<Clock::time_point> deliver() noexcept;

  // A time at which to ask for the stop by itself: whether somebody has to be told to watch() then, as with
  // open_here(). clear_deadline() when what it bounds has ended; close() does so, too.
  std::optional<Watch> set_deadline(Clock::time_point deadline, std::chrono::nanoseconds limit) noexcept;
  void clear_deadline() noexcept;
  std::optional<Clock::time_point> deadline() noexcept;  // whether it has passed or not
  void forget_watch() noexcept;                          // there is nobody to watch
  // What the host wants to see to on the thread of a run that is looked after, async-signal-safe; if it is
  // due, which any thread may ask, and where it waits for nothing.
  struct Look {
    bool (*due)() noexcept = nullptr;
    void (*see_to_it)() noexcept = nullptr;
    // How often anybody has seen to it: a run that began before the last time has something to look at.
    const std::atomic<std::uint32_t>* seen_to = nullptr;
  };
  static void set_look(Look look) noexcept;
  static void look_now() noexcept;
  // At that time, which is `at`: asks if the deadline still stands and has passed. When to watch again;
  // nothing: it is not needed, or somebody else is to do it.
  std::optional<Clock::time_point> watch(Clock::time_point at) noexcept;

  // Where the thread is now: waits for its answer, at most until the deadline. Nothing if it did not answer
  // (it sits in C or host code) or does not run.
  std::optional<std::vector<Frame>> inspect(Clock::time_point deadline);

  bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }
  StopReason reason() const noexcept { return reason_.load(std::memory_order_acquire); }
  Leave leave() const noexcept { return leave_.load(std::memory_order_acquire); }
  // When the grace time for cleanup is over, if the stop has been raised.
  std::optional<Clock::time_point> relentless_at() const noexcept;
  // When code that could be interrupted would have answered, if it has `grace` for that: not by the clock
  // alone, as a thread may be without a CPU for long. Cleanup has its grace time from when the stop was
  // raised, and then some for the relentless raising to end it.
  Clock::time_point answered_by(std::chrono::nanoseconds grace) const noexcept;
  std::chrono::nanoseconds grace() const noexcept { return grace_; }
  std::chrono::nanoseconds limit() const noexcept {
    return std::chrono::nanoseconds(limit_.load(std::memory_order_relaxed));
  }
  int asked() const noexcept { return asked_.load(std::memory_order_relaxed); }  // how many asks there were
  Waiter& waiter() noexcept { return waiter_; }
  // Where no signal reaches the thread: what is asked is looked at when the state next allocates. Null: it
  // ends.
  void reach_through(MemoryQuota* quota) noexcept;
  // While the thread parks on something else, asks wake that too; null: no more.
  void park_on(Waiter* other) noexcept;

 private:
  friend class Run;
  struct Inspection {
    std::vector<Frame> frames;
    std::atomic<bool> done{false};
    Waiter waiter;
  };

  bool note_asked(StopReason reason) noexcept;
  void begin() noexcept;
  std::optional<Watch> watch_at(Clock::time_point at) noexcept;
  Clock::time_point watch_lasting(Clock::time_point now) noexcept;
  bool look() noexcept;
  bool look_wanted() const noexcept { return look_.load(std::memory_order_relaxed); }
  bool is_look_due() const noexcept;
  void look_if_due() noexcept;
  Clock::time_point leaving_at() const noexcept;
  std::optional<Clock::time_point> deliver_locked() noexcept;
  void wake() noexcept;
  void poke() noexcept;
  void serve_inspection(lua_State* L) noexcept;

  const std::chrono::nanoseconds grace_;
  std::mutex mutex_;  // of open_, target_, inspection_; never taken in a signal handler
  bool open_ = false;
  std::atomic<bool> finalizing_{false};  // written under mutex_
  std::optional<interrupt::Target> target_;
  std::atomic<std::int64_t> asked_at_{0};  // for reason_
  Clock::time_point leave_since_;          // when leave_ was first delivered
  std::shared_ptr<Inspection> inspection_;
  // Release on writing, acquire where a handler or hook reads: what led to the ask is seen with it.
  std::atomic<StopReason> reason_{StopReason::none};
  std::atomic<bool> requested_{false};
  std::atomic<bool> inspecting_{false};
  std::atomic<Leave> leave_{Leave::no};
  // How often the thread was interrupted for a stop that it had not raised yet, and when first.
  mutable std::atomic<int> heard_{0};
  mutable std::atomic<std::int64_t> heard_at_{0};
  std::atomic<std::int64_t> overdue_since_{
      0};                                   // Clock's nanoseconds: when the deadline passed; 0: it has not
  std::atomic<bool> uncut_{false};          // it reads or writes
  std::atomic<bool> paused_{false};         // asked for
  std::atomic<bool> held_{false};           // done
  std::atomic<std::int64_t> raised_at_{0};  // Clock's nanoseconds; 0: not yet
  std::atomic<int> asked_{0};
  std::atomic<std::int64_t> limit_{
      0};  // of the deadline, in nanoseconds from the start: for the error's text
  // Of mutex_: the deadline, and the earliest time at which a watch() is due; max: none.
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point watched_ = Clock::time_point::max();
  // Of mutex_: how often it was opened, and how often the last time it was looked whether the same run lasts.
  bool looked_after_ = false;
  std::uint64_t opened_ = 0;
  std::uint64_t lasting_ = 0;
  bool put_off_ = false;       // the look is wanted, and nobody has poked the thread for it
  std::uint32_t seen_to_ = 0;  // of the host's look, when it was opened
  Clock::time_point lasting_at_ = Clock::time_point::max();  // when to look; max: nobody is told to
  std::atomic<bool> look_{false};                            // wanted, on the thread
  Waiter* other_ = nullptr;                                  // of mutex_
  MemoryQuota* quota_ = nullptr;                             // of mutex_
  Waiter waiter_;
  Waiter holding_;
};

}  // namespace osthread
