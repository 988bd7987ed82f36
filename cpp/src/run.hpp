// A Run is one activation of Lua on a native thread; a Stop (stop.hpp) is what other threads say to it.
//
// Runs nest: Lua may call a function of the host that runs another state on the same thread. A thread's runs
// form a stack, and whoever asks the thread to stop speaks to the innermost: a stop of an outer run ends the
// inner ones first, each by an error of its own through its own C++ frames, then the next run out is asked
// again.
//
// How a stop is raised: once, as an error object known by its identity; then the hook goes away, and code
// that catches the error has the grace time to clean up with everything working as always. After that it is
// raised at every instruction until the run has ended.
//
// How a run is left for good (a kill, or a time limit that was not answered within the grace time): the
// thread leaves the VM from where it stands, by way of the run's landing, and the state is discarded. It does
// so only where nothing can be torn: at a safe point (safe_point.h), in the hook, or where the allocator
// returns; and only when no frame below is anybody else's. Every C function but LuaJIT's own is entered
// through enter_c_function(), which counts a shield for its time, and so is every callback of the FFI; at
// zero the frames between the landing and the place are LuaJIT's, which own nothing, or those of ours that
// say so (Run::Open). So: a function of ours that calls back into Lua owns nothing and opens the run, or
// accepts that the inner code can't be left. A thread that can't leave now is asked again. (In a callback of
// the FFI nothing is raised either: LuaJIT lets no error pass the function that calls back, which may hold a
// lock.)
//
// Thread safety: a Run belongs to its thread; attend() and attend_at() run
// there in a signal handler (or, on Windows, elsewhere while the thread is suspended) and touch only atomics
// and the state's hook.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "interrupt.hpp"
#include "landing.hpp"
#include "lua_headers.hpp"
#include "osthread/error.hpp"
#include "osthread/native_thread.hpp"
#include "stop.hpp"
#include "vm.hpp"
#include "waiter.hpp"

namespace osthread {

class Run;

// Whether a signal of the host came; suspected: one may have come of which nobody has told the thread.
enum class HostSignal : std::uint8_t { none, suspected, came };

// What a thread runs.
struct RunSlot {
  Run* innermost = nullptr;
  // For a wait of the host's in this thread: what wakes it, and whether a signal of the host came. A signal
  // handler uses both, so a signal that comes just before the thread sleeps is not lost.
  Waiter* parked_on = nullptr;
  std::atomic<HostSignal> signalled{HostSignal::none};
  bool setting_hook = false;  // the thread itself is in lua_sethook: attend() must not nest into it
};

class Run {
 public:
  enum class Kind { chunk, finalizers };  // finalizers take no hook: only call()'s landing stops them

  // Becomes the innermost run of the calling thread. `stop` must be bound to this thread.
  Run(Vm& vm, Stop& stop, Kind kind = Kind::chunk) noexcept;
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  static Run* current() noexcept;
  static bool in_call() noexcept;            // whether this thread's innermost run can be left at all
  static bool is_in(const Vm& vm) noexcept;  // whether this thread is in a run of that state, at any depth
  // Arms the hook of this thread's innermost run if anybody wants something of it. Async-signal-safe.
  static void attend() noexcept;
  // The same for another thread, which is suspended meanwhile.
  static void attend(const RunSlot* slot) noexcept;
  static const RunSlot* slot() noexcept;  // of this thread

  // Calls body(context), which calls into Lua through frames that own nothing. Whether it returned. If not,
  // it was left for good: the state may only be discarded. Not nested in one run.
  bool call(void (*body)(void*), void* context);
  enum class Left { no, by_kill, by_limit, by_overflow, by_host };  // by_host: Ctrl-C, again and again
  Left left() const noexcept { return left_; }
  bool left_for_outer() const noexcept { return left_for_outer_; }  // the kill, or limit, of a run around it

  // The wrapper of every C function but LuaJIT's own (LUAJIT_MODE_WRAPCFUNC).
  static int enter_c_function(lua_State* L, lua_CFunction function);
  // For a thread that stands still at this program counter and stack pointer, interrupted by a signal handler
  // or suspended by the calling thread: attend(), and whether it has to leave, which is wanted and safe
  // there. The thread does so itself: leave_here().
  static bool attend_at(const RunSlot* slot, std::uintptr_t program_counter,
                        std::uintptr_t stack_pointer) noexcept;
  [[noreturn]] static void leave_here() noexcept;
  // Where LuaJIT calls us and holds nothing: leaves, if that is wanted and can be.
  static void leave_if_asked() noexcept;
  // In a signal handler, or its like: the C stack has overflowed at this program counter. Whether the thread
  // has to leave_here() for that; false if it can't. `anywhere`: also where a lock of the C library's may be
  // held.
  static bool overflow_at(std::uintptr_t program_counter, bool anywhere) noexcept;
  // There is a little more room now: leaves as soon as it can.
  static void leave_for_overflow() noexcept;
  static void enter_callback(std::uintptr_t frame, lua_State* L, const void* cframe) noexcept;
  static void leave_callback(std::uintptr_t frame) noexcept;

  // Ends the region in which the state may be touched by attend(): before it is finalized or closed.
  void finish() noexcept;

  // For code that waits, or calls that may raise: raises the stop (a Lua error) if it is due, and answers
  // inspections. `waiting`: the call would wait, so that a mere request_stop() is due as well.
  void check(lua_State* L, bool waiting);
  // What of check() ends no wait: answers inspections and a signal of the host, and holds while it is paused.
  // Raises nothing.
  void attend_to(lua_State* L) noexcept;
  // Whether check() has anything to do; raises nothing.
  bool due_now(bool waiting) const noexcept;
  // Whether a C function that has called back through FFI lies below: then check() raises nothing.
  bool in_callback() const noexcept { return callback_.load(std::memory_order_relaxed) != 0; }
  // Whether a stop of this run, or of one around it, was requested.
  bool requested() const noexcept;
  // Whether a stop is due for code that waits: due_now() without what does not end a wait.
  bool stop_due() const noexcept;
  // While this thread parks on `waiter`, what is said to any of its runs wakes it; null: no more. Before the
  // condition is looked at.
  void listen(Waiter* waiter) noexcept;
  // When a wait has to be over: at the deadline, or earlier, when the time for cleanup is over.
  std::optional<Clock::time_point> wait_at_most(std::optional<Clock::time_point> deadline) const noexcept;
  // Sleeps on the stop's waiter until the deadline, a wake, or a signal; check() before and after.
  Waiter::Outcome park(Waiter::Ticket ticket, std::optional<Clock::time_point> deadline) noexcept;

  // os.exit: from here on every instruction raises until the run has ended.
  [[noreturn]] void exit(lua_State* L);
  bool exiting() const noexcept { return exiting_; }

  // After the call into Lua: whether a stop was raised in this run, whether it was past its grace time, and
  // for what.
  bool raised() const noexcept { return raised_at_ != 0; }
  bool relentless() const noexcept { return relentless_; }
  StopReason why() const noexcept { return why_; }
  std::chrono::nanoseconds limit() const noexcept { return limit_; }  // if it was a deadline
  bool stopped_by_request() const noexcept { return request_raised_; }

  Stop& stop() noexcept { return stop_; }
  const Stop& stop() const noexcept { return stop_; }
  lua_State* state() const noexcept { return L_; }
  Vm& vm() const noexcept { return vm_; }
  // Whether a stop is due, as far as code that does not wait for us goes.
  bool interrupted() const noexcept;
  void answer_host() noexcept;    // looks at a signal of the host, if one came
  bool leaving() const noexcept;  // it is to be left for good, if only the code that asks returns
  bool finalizing() const noexcept { return kind_ == Kind::finalizers; }

  // A signal of the host (Ctrl-C) wants to be looked at on this thread: async-signal-safe; then `host_check`,
  // if set, is called from the hook. It returns whether the run is to be stopped.
  static void note_host_signal() noexcept;
  // The same if one may have come of which nobody has told this thread: it is no first one that a second may
  // follow.
  static void suspect_host_signal() noexcept;
  // Whether a second one, of which the code has not heard, may leave the VM: not if the host may have a
  // signal handler that lets it go on.
  static void let_signals_kill(bool allowed) noexcept;
  // Around a wait of the host's: null when it is over.
  static void note_parked_on(Waiter* waiter) noexcept;
  // Whether a signal has been noted since the last time; of this thread.
  static HostSignal take_host_signal() noexcept;
  static void set_host_check(bool (*check)(Stop& stop)) noexcept;
  // For a wait of this thread outside of Lua: looks at a signal of the host, if one has been noted. Whether
  // the wait is to end.
  static bool host_wants_out() noexcept;

  // While one lives, this thread's innermost run takes no hook: for Lua code of ours that must not be stopped
  // half-way.
  class Quiet {
   public:
    Quiet() noexcept;
    ~Quiet();
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

   private:
    const bool outer_;
  };

  // While one lives, nobody who only wants to look sends a signal: it would cut reading and writing short.
  // What the host wants to look at is looked at when it goes.
  class Uncut {
   public:
    Uncut() noexcept { set(true); }
    ~Uncut();
    Uncut(const Uncut&) = delete;
    Uncut& operator=(const Uncut&) = delete;

   private:
    friend class Run;
    static void set(bool uncut) noexcept;
  };

  // While one lives, signals come to this thread though finalizers run: it waits in a system call that is
  // begun again if nobody wants anything.
  class Interruptible {
   public:
    Interruptible() noexcept;
    ~Interruptible();
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

   private:
    Run* const run_;
  };

  // While one lives, nothing that this thread's innermost run is in the middle of may be skipped.
  class Shield {
   public:
    Shield() noexcept;
    ~Shield();
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;

   private:
    Run* const run_;
  };

  // In a C function of ours, around a call into Lua: its frames own nothing, so the run may be left from
  // there.
  class Open {
   public:
    Open() noexcept;
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    Run* const run_;
  };

  // Around code that is called in the middle of other code, which it shall not end (a profiler's callback):
  // a stop that it has met is raised once more in the other code, which os.exit can't end from there.
  class Aside {
   public:
    Aside() noexcept;
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
    // Whether a stop is due in the other code.
    bool stopped() const noexcept { return run_ && (run_->raised() || run_->interrupted()); }

   private:
    Run* const run_;
    const bool outer_;
    const bool raised_before_;
  };
  bool aside() const noexcept { return aside_; }

 private:
  enum class Due { nothing, first, relentless };
  static void hook(lua_State* L, lua_Debug*);

  Due due(const Stop*& owner) const noexcept;
  bool wants_hook() const noexcept;
  void arm() noexcept;
  void disarm() noexcept;
  void answered() noexcept;
  void suspect() noexcept;
  void serve(lua_State* L) noexcept;
  void note_raised(const Stop& owner) noexcept;
  void raise_again() noexcept;
  Leave leave_wanted(const Stop*& owner) const noexcept;
  bool leaves_now() noexcept;
  bool may_leave() const noexcept;  // on its own thread
  bool may_leave(const RunSlot& slot) const noexcept;
  bool nothing_below(const RunSlot& slot) const noexcept;  // no frame that may not be skipped
  [[noreturn]] void leave(Left how) noexcept;
  static void look(MemoryQuota& quota) noexcept;
  Stop* paused() const noexcept;
  void hold_while_paused(lua_State* L) noexcept;
  [[noreturn]] void raise(lua_State* L, int slot);

  Vm& vm_;
  lua_State* const L_;
  Stop& stop_;
  Run* const outer_;
  const Kind kind_;
  Landing landing_;
  std::atomic<bool> in_call_{false};  // landing_ is there
  std::atomic<int> shields_{0};
  lua_State* callback_state_ = nullptr;      // of callback_
  const void* callback_cframe_ = nullptr;    // of callback_
  std::atomic<std::uintptr_t> callback_{0};  // the outermost callback's frame; 0: none
  std::atomic<bool> overflowed_{false};      // it is to be left for that
  std::atomic<bool> leave_soon_{false};      // a signal came where it could not leave
  // When a time limit first could have made it leave: it does so later, if the hook does not help. 0: not
  // yet.
  std::int64_t warned_at_ = 0;
  Left left_ = Left::no;
  bool left_for_outer_ = false;
  // Written and read on this thread only, but attend() interrupts it anywhere: atomics without order, fenced
  // by the fact that a handler runs between two instructions.
  std::atomic<bool> open_{false};  // attend() may touch L_
  std::atomic<bool> host_signal_{false};
  // When it came: Clock's nanoseconds; of this thread and its handlers.
  std::int64_t host_signal_at_ = 0;
  std::atomic<bool> given_up_{false};  // a second one came, and the first has not been looked at
  bool exiting_ = false;
  bool in_hook_ = false;
  bool aside_ = false;
  bool relentless_ = false;
  bool request_raised_ = false;
  StopReason why_ = StopReason::none;
  std::chrono::nanoseconds limit_{0};
  std::int64_t raised_at_ = 0;
  lua_Hook users_hook_ = nullptr;  // what debug.sethook had set before ours; put back when ours goes
  int users_mask_ = 0;
  int users_count_ = 0;
};

}  // namespace osthread
