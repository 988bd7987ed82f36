// Ctrl-C, seen before Python sees it: Python's own handler only sets a flag, which nobody reads while Lua
// runs.
#pragma once

#include <atomic>
#include <cstdint>

namespace osthread::python::sigint {

// Puts a handler before the one that stands for SIGINT now, unless it is there: it calls that one, then
// `note`. Nothing is done if SIGINT has no handler. Whether it was not there: then a SIGINT may have come
// just before that only the other handler has seen. Async-signal-safe, if `note` is.
bool stand_before(void (*note)() noexcept) noexcept;
// Whether that would do nothing, and no thread is in the middle of it; on any thread.
bool stands_before() noexcept;
// How often it was done: a thread that runs Lua since before has not been told of what came before that.
const std::atomic<std::uint32_t>& times_put_before() noexcept;
// In a fork's child: whoever was in the middle of it is not here.
void forget_parents() noexcept;

}  // namespace osthread::python::sigint
