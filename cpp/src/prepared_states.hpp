// States made ahead, so that a thread may start without waiting for one. A thread that has ended leaves one
// behind, when nobody waits for it any more; so there is none before the first thread, and a burst waits for
// none. (Not at a lower priority: a thread that gets no CPU would hold the allocator's locks meanwhile.)
//
// Thread safety: everything may be called from any thread. After a fork the child starts without any.
#pragma once

#include <memory>

#include "vm.hpp"

namespace osthread::prepared_states {

// One that was made ahead, or a fresh one. std::bad_alloc, std::runtime_error.
std::unique_ptr<Vm> take();

// Makes one more unless there are enough. For a thread that is about to end.
void leave_one() noexcept;

// Drops all of them, and makes no more: at the process's end.
void close() noexcept;

}  // namespace osthread::prepared_states
