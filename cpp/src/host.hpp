// What a language binding needs beyond the public headers: waits that a signal can cut short, threads as
// values, and a word with Lua when the host has a signal of its own. It shows nothing of Lua.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "osthread/channel.hpp"
#include "osthread/lua_state.hpp"
#include "osthread/osthread.hpp"
#include "osthread/shared_buffer.hpp"
#include "osthread/sync.hpp"
#include "waiter.hpp"

namespace osthread::host {

using Core = std::shared_ptr<ThreadCore>;

OSTHREAD_EXPORT Core create(const Code& code, Values args,
                            ThreadOptions options);  // compiled, not yet launched
OSTHREAD_EXPORT void launch(
    ThreadCore& core);  // makes the native thread, which starts unless options.suspended
OSTHREAD_EXPORT void forget(ThreadCore& core) noexcept;  // nobody will ask for its results

// As ThreadCore::wait; Wait::stopped: throw stopped().
OSTHREAD_EXPORT Wait wait(ThreadCore& core, std::optional<Clock::time_point> deadline) noexcept;
OSTHREAD_EXPORT std::exception_ptr stopped();
OSTHREAD_EXPORT Clock::time_point deadline_after(std::chrono::nanoseconds duration) noexcept;

OSTHREAD_EXPORT void start(ThreadCore& core);
OSTHREAD_EXPORT void discard(ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool request_stop(ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool interrupt(ThreadCore& core);
OSTHREAD_EXPORT bool kill(ThreadCore& core);
OSTHREAD_EXPORT const char* no_kill_because() noexcept;  // for an error's text; null: kill() can be had
OSTHREAD_EXPORT bool pause(ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool resume(ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool held(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT Wait wait_held(ThreadCore& core, Clock::time_point deadline) noexcept;
// As OSThread::terminate. `look` is called when a signal came, and says whether to go on.
OSTHREAD_EXPORT Status terminate(ThreadCore& core, std::chrono::nanoseconds grace,
                                 const std::function<bool()>& look);
// The same, done by the watchdog: for an owner that may not wait.
OSTHREAD_EXPORT void terminate_later(ThreadCore& core);

OSTHREAD_EXPORT Status status(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool ended(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool settled(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT const ThreadOptions& options(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT std::uintptr_t ident(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT std::uint64_t native_id(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT ThreadStatistics statistics(const ThreadCore& core);
// Nothing: it did not answer until the deadline.
OSTHREAD_EXPORT std::optional<std::vector<Frame>> stack(ThreadCore& core, Clock::time_point deadline);
OSTHREAD_EXPORT void on_end(ThreadCore& core, std::function<void()> callback);

// After the end: gives up the results, or the error, which the host holds itself now.
OSTHREAD_EXPORT void release_results(ThreadCore& core) noexcept;
OSTHREAD_EXPORT void release_error(ThreadCore& core) noexcept;
// After the end: the results, or the error; of a host's exception, the Lua frames it came through.
OSTHREAD_EXPORT const Values& results(const ThreadCore& core);
OSTHREAD_EXPORT std::exception_ptr error(const ThreadCore& core);
OSTHREAD_EXPORT const std::vector<Frame>& error_frames(const ThreadCore& core);

// The thread that runs the calling code; null outside of any.
OSTHREAD_EXPORT Core current();
// Whether the library has made the calling thread, a pool's workers included.
OSTHREAD_EXPORT bool on_own_thread() noexcept;
// `keep` lives as long as the value.
OSTHREAD_EXPORT Value thread_value(Core core, std::shared_ptr<void> keep = nullptr);
OSTHREAD_EXPORT Channel mailbox(ThreadCore& core);
// As ThreadCore::announce_as.
OSTHREAD_EXPORT void announce_as(ThreadCore& core, std::function<Value()> make);
OSTHREAD_EXPORT Core thread_of(const Value& value);  // null: it is none
// Of a thread that Lua code has started: a handle of it is one of its owners (owned_threads.hpp).
OSTHREAD_EXPORT bool is_owner(const Value& thread);
OSTHREAD_EXPORT void detach(const Value& owner) noexcept;
OSTHREAD_EXPORT void note_dropped(const Value& owner) noexcept;
// Whether its owner in C++ or the host has gone: nobody asks for its results any more.
OSTHREAD_EXPORT bool forgotten(const ThreadCore& core) noexcept;
OSTHREAD_EXPORT bool detached(const ThreadCore& core) noexcept;
// Somebody knows of its error, so that nobody else has to hear of it.
OSTHREAD_EXPORT void note_fetched(ThreadCore& core) noexcept;
// What is told of the error of a thread of which the last owner is gone; `dropped`: it was running then.
OSTHREAD_EXPORT void set_lost_thread_reporter(void (*reporter)(ThreadCore& core,
                                                               bool dropped) noexcept) noexcept;
OSTHREAD_EXPORT std::vector<Core> alive();
// Whether a value is an error of the host on its way through Lua, and which.
OSTHREAD_EXPORT std::exception_ptr exception_of(const Value& value);
OSTHREAD_EXPORT std::exception_ptr exception_of(const Object& object);

// What the host's garbage collector has to see: the objects of the host that this state, and nobody else,
// holds. For a state that no thread uses. Nothing with a LuaJIT of the system.
OSTHREAD_EXPORT std::vector<Object*> objects_of(const LuaState& state);
OSTHREAD_EXPORT std::vector<Object*> objects_of(const ThreadCore& core);  // one that was never started

// Channels, in waits that a signal of the host cuts short; Wait::stopped as above. What `over` means is in
// the outcome: closed, refused (it is no number), or done, and then the value was taken over, or filled.
enum class Passed { done, closed, refused };
OSTHREAD_EXPORT Wait send(const Channel& channel, Value& value, Passed& passed,
                          std::optional<Clock::time_point> deadline);
OSTHREAD_EXPORT Wait receive(const Channel& channel, Value& value, Passed& passed,
                             std::optional<Clock::time_point> deadline, bool numbers_only = false);
OSTHREAD_EXPORT Wait select(std::span<const Channel> channels, Value& value, std::size_t& at, Passed& passed,
                            std::optional<Clock::time_point> deadline);
// Without waiting: nothing if it would have to.
OSTHREAD_EXPORT std::optional<Passed> try_send(const Channel& channel, Value& value);
// The first of the values that there is room for; `sent`: how many.
OSTHREAD_EXPORT std::optional<Passed> try_send_some(const Channel& channel, std::span<Value> values,
                                                    std::size_t& sent);
OSTHREAD_EXPORT std::optional<Passed> try_receive(const Channel& channel, Value& value,
                                                  bool numbers_only = false);
OSTHREAD_EXPORT std::optional<Passed> try_select(std::span<const Channel> channels, Value& value,
                                                 std::size_t& at);

// A wait at channels that no thread sleeps in, but a task of an event loop: in line with those that do, from
// its making until it leaves. The waiting itself is the host's, as wait_list.hpp has it: what it looks at are
// the try_* above, and it is woken by what set_async_report() was given, which hears of its key.
class OSTHREAD_EXPORT AsyncWait {
 public:
  enum class For { value, room };
  AsyncWait(std::uint64_t key, std::vector<Channel> channels, For what);
  ~AsyncWait();
  AsyncWait(const AsyncWait&) = delete;
  AsyncWait& operator=(const AsyncWait&) = delete;
  bool again() noexcept;
  // `used`: which of the channels gave it what it waited for. What it was told and has not used, others are
  // told. Only the first time.
  void leave(std::optional<std::size_t> used) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};
// It is called on a thread of the library's, with the keys of waits that may be over, and may take its time.
OSTHREAD_EXPORT void set_async_report(void (*report)(std::span<const std::uint64_t> keys) noexcept) noexcept;

// Sync objects, in the same way.
OSTHREAD_EXPORT Wait acquire(const Lock& lock, std::optional<Clock::time_point> deadline);
OSTHREAD_EXPORT Wait acquire(const Semaphore& semaphore, std::optional<Clock::time_point> deadline);
OSTHREAD_EXPORT std::uint64_t times_set(const Event& event);
// As EventCore::wait.
OSTHREAD_EXPORT Wait wait(const Event& event, std::uint64_t since, std::optional<Clock::time_point> deadline);
// Of a buffer's element; throws as SharedBuffer::wait before it waits.
OSTHREAD_EXPORT Wait wait(const SharedBuffer& buffer, std::size_t index, const Value& old,
                          std::optional<Clock::time_point> deadline);

// One thread at a barrier. Whoever destroys it before all have come breaks the barrier.
class OSTHREAD_EXPORT BarrierArrival {
 public:
  explicit BarrierArrival(const Barrier& barrier);
  ~BarrierArrival();
  BarrierArrival(const BarrierArrival&) = delete;
  BarrierArrival& operator=(const BarrierArrival&) = delete;
  Wait wait(std::optional<Clock::time_point> deadline);  // may be called again
  std::optional<std::size_t> leave();                    // once; none: the barrier is broken

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The host has a signal to look at (Ctrl-C): if this thread is in Lua code, `check` is called there, soon,
// and says whether that code is to be interrupted. note_signal() is async-signal-safe.
OSTHREAD_EXPORT void note_signal() noexcept;
// The same where one may have come that was not noted: it is looked for.
OSTHREAD_EXPORT void suspect_signal() noexcept;
// What interrupts running code; 0: nothing. Async-signal-safe.
OSTHREAD_EXPORT int signal_number() noexcept;
// As Run::let_signals_kill.
OSTHREAD_EXPORT void let_signals_kill(bool allowed) noexcept;
OSTHREAD_EXPORT void set_signal_check(bool (*check)()) noexcept;
// LuaState::call, in whose thread `look` is called some 20 ms after it began, if it lasts so long and that is
// due: what the host would have to do before each call, where most are short. Async-signal-safe. `due` is
// called before, on any thread, where it may have call_soon() do what `look` can't; it waits for nothing.
// Where nothing can be called in the thread of the call, both are before it. A signal is looked for after it,
// and also if `seen_to` says that another thread has done the same since the call began.
OSTHREAD_EXPORT void set_look(bool (*due)() noexcept, void (*look)() noexcept,
                              const std::atomic<std::uint32_t>& seen_to) noexcept;
OSTHREAD_EXPORT Values call_looked_after(LuaState& state, std::string_view dotted_name,
                                         std::span<const Value> args);
// Has it called soon on a thread of the library's, where it may wait for the host; not at all if no thread
// can be had.
OSTHREAD_EXPORT void call_soon(void (*errand)() noexcept) noexcept;
// std::invalid_argument if OSTHREAD_SIGNAL says what can't be had, as the first OSThread or LuaState throws
// it.
OSTHREAD_EXPORT void require_signal();
// Interrupts the Lua code that called the calling code, if any.
OSTHREAD_EXPORT void interrupt_here() noexcept;
// The memory_limit of the state whose Lua code called the calling code; 0: none.
OSTHREAD_EXPORT std::size_t memory_limit_here() noexcept;

// Whether a C module has been loaded, so that another Lua that is loaded from now on would bind to ours.
OSTHREAD_EXPORT bool symbols_promoted() noexcept;

// Called by each thread of ours as the last thing, before it counts as gone.
OSTHREAD_EXPORT void set_thread_end(void (*end)() noexcept) noexcept;

// What is told of the errors of finalizers, on the threads they run on. It says whether it could do something
// with it: otherwise they go to stderr.
OSTHREAD_EXPORT void set_finalizer_error_reporter(bool (*reporter)(const std::exception_ptr& error,
                                                                   const char* source) noexcept) noexcept;

// What is told of C modules whose state was left for good: on the thread that was in it (its name; empty: a
// LuaState's). `kept`: the state's memory is lost as well.
OSTHREAD_EXPORT void set_leak_reporter(void (*reporter)(const std::string& thread,
                                                        const std::vector<std::string>& modules,
                                                        bool kept) noexcept) noexcept;

// Around what must not be interrupted at the process's end: whether every native thread of ours has gone by
// then.
OSTHREAD_EXPORT bool wait_until_quiet(Clock::time_point deadline) noexcept;
OSTHREAD_EXPORT void drop_prepared_states() noexcept;

}  // namespace osthread::host
