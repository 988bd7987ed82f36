// Pools that nobody has any more, while they do what they were given: the program's end waits for them. With
// the GIL held.
#pragma once

#include "pool_results.hpp"

namespace osthread::python::dropped_pools {

// One that takes nothing any more.
void note(const host::Pool& pool, const std::shared_ptr<Results>& results) noexcept;
void finish();                   // waits for all, and tells the futures; throws what a signal handler raises
void end();                      // the same, but stops what runs, and gives up what does not end
void forget_parents() noexcept;  // in a fork's child

}  // namespace osthread::python::dropped_pools
