// The end of a thread's C stack. C functions are refused near it (c_stack.h); what reaches its guard page all
// the same, recursion through coroutines for one, leaves the run by its landing. So neither ends the process.
//
// The last of that recursion may overflow in the C library, which may hold a lock: then it gets a little room
// beyond the end, goes on, and the run is left at the next safe point.
//
// Thread safety: of the calling thread.
#pragma once

namespace osthread::stack_guard {

// From now on, to this thread's end.
void watch_this_thread();

// Takes back the room that an overflow was given: the run has been left.
void close_room() noexcept;

}  // namespace osthread::stack_guard
