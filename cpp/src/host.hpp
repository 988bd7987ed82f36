// What a language binding needs beyond the public headers: waits that a signal can cut short, threads as
// values, and a word with Lua when the host has a signal of its own. It shows nothing of Lua.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "osthread/lua_state.hpp"
#include "osthread/osthread.hpp"
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
OSTHREAD_EXPORT Value thread_value(Core core);
OSTHREAD_EXPORT Core thread_of(const Value& value);  // null: it is none
// Whether a value is an error of the host on its way through Lua, and which.
OSTHREAD_EXPORT std::exception_ptr exception_of(const Value& value);

// What the host's garbage collector has to see: the objects of the host that this state, and nobody else,
// holds. For a state that no thread uses. Nothing with a LuaJIT of the system.
OSTHREAD_EXPORT std::vector<Object*> objects_of(const LuaState& state);
OSTHREAD_EXPORT std::vector<Object*> objects_of(const ThreadCore& core);  // one that was never started

// The host has a signal to look at (Ctrl-C): if this thread is in Lua code, `check` is called there, soon,
// and says whether that code is to be interrupted. note_signal() is async-signal-safe.
OSTHREAD_EXPORT void note_signal() noexcept;
OSTHREAD_EXPORT void set_signal_check(bool (*check)()) noexcept;
// Interrupts the Lua code that called the calling code, if any.
OSTHREAD_EXPORT void interrupt_here() noexcept;

// Called by each thread of ours as the last thing, before it counts as gone.
OSTHREAD_EXPORT void set_thread_end(void (*end)() noexcept) noexcept;

// What is told of the errors of finalizers, on the threads they run on. It says whether it could do something
// with it: otherwise they go to stderr.
OSTHREAD_EXPORT void set_finalizer_error_reporter(
    bool (*reporter)(const std::exception_ptr& error) noexcept) noexcept;

// Around what must not be interrupted at the process's end: whether every native thread of ours has gone by
// then.
OSTHREAD_EXPORT bool wait_until_quiet(Clock::time_point deadline) noexcept;
OSTHREAD_EXPORT void drop_prepared_states() noexcept;

}  // namespace osthread::host
