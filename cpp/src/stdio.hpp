// What the files that stand for the C library's <stdio.h> have in common.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstdio>

namespace osthread::stdio {

// A file that has just been opened: noted as one of the state's; null with errno if there is no memory for
// that.
std::FILE* note(std::FILE* file) noexcept;

// Of the C stack, with errno: the run would be left in the middle of the C library's own code, which may hold
// a lock.
bool near_the_end() noexcept;

}  // namespace osthread::stdio
