// Room beyond the end of a thread's C stack, for what overflows it in the middle of something.
//
// Thread safety: of the calling thread; open() and close() are async-signal-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace osthread::stack_room {

// What there is, at most.
inline constexpr std::size_t kSize = 64 * 1024;

// In a thread of ours, whose guard area is large enough.
void use_guard() noexcept;
// Puts some aside in a thread that is not ours: of its own stack, to the thread's end. The process's first
// thread gets it from the system when it comes to that.
void reserve(std::uintptr_t low, std::uintptr_t high);

// Where the stack of the process's first thread ends by now: its limit can be changed. 0: it is another
// thread.
std::uintptr_t first_threads_low() noexcept;

// `address` has been touched, which nobody may. Whether there was room, which is there now.
bool open(std::uintptr_t address) noexcept;
void close() noexcept;

}  // namespace osthread::stack_room
