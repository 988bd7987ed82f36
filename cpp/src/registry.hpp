// Who is alive: every thread that was started and has not ended, and how many native threads of ours are
// still on their way out.
//
// Thread safety: everything may be called from any thread. After a fork the child starts with an empty one.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "osthread/native_thread.hpp"

namespace osthread {

class ThreadCore;

namespace registry {

void add(std::shared_ptr<ThreadCore> core);
void remove(const ThreadCore* core) noexcept;
std::vector<std::shared_ptr<ThreadCore>> alive();
// The thread that runs the calling code, or null.
ThreadCore* current() noexcept;
void set_current(ThreadCore* core) noexcept;

// Around a native thread's whole life, so that the process's end can wait for the last instructions of each.
void native_begins();
void native_ends() noexcept;
// What the host wants done by each thread of ours, as the last thing before native_ends().
void set_native_end(void (*end)() noexcept) noexcept;
void at_native_end() noexcept;
// Whether all have ended by the deadline.
bool wait_until_quiet(Clock::time_point deadline) noexcept;

}  // namespace registry
}  // namespace osthread
