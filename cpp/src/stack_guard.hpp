// The end of a thread's C stack. C functions are refused near it (c_stack.h); what reaches its guard page all
// the same, recursion through coroutines for one, leaves the run by its landing. So neither ends the process.
//
// Thread safety: of the calling thread.
#pragma once

namespace osthread::stack_guard {

// From now on, to this thread's end.
void watch_this_thread();

}  // namespace osthread::stack_guard
