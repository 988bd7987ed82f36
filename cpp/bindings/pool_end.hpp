// How pools end: terminated, and those that nobody has any more, which do what they were given, while the
// program's end waits for them. With the GIL held; what a signal handler raises ends a wait.
#pragma once

#include "pool_results.hpp"

namespace osthread::python::pool_end {

// Stops what runs, cancels the rest, and waits. How many workers were given up, as they did not end.
std::size_t terminate(const host::Pool& pool);

// Nobody has it any more, and it takes nothing any more.
void note_dropped(const host::Pool& pool, const std::shared_ptr<Results>& results) noexcept;
void finish_dropped();           // waits for all of them, and until their futures have been told
void terminate_dropped();        // the same, but terminates them
void forget_parents() noexcept;  // in a fork's child

}  // namespace osthread::python::pool_end
