// How pools end: terminated, and those that nobody has any more, which do what they were given, while the
// program's end waits for them. With the GIL held; what a signal handler raises ends a wait.
#pragma once

#include <chrono>

#include "pool_results.hpp"

namespace osthread::python::pool_end {

// Stops what runs, cancels the rest, and waits. How many workers were given up, as they did not end.
std::size_t terminate(const host::Pool& pool);

// Nobody has it any more, and it takes nothing any more.
void note_dropped(const host::Pool& pool, const std::shared_ptr<Results>& results) noexcept;
void finish_dropped();  // waits for all of them, and until their futures have been told
// The same, but terminates them; a callback has so long to return.
struct GivenUp {
  std::size_t workers = 0;
  std::size_t callbacks = 0;
};
GivenUp terminate_dropped(std::chrono::nanoseconds patience);
void forget_parents() noexcept;  // in a fork's child

}  // namespace osthread::python::pool_end
