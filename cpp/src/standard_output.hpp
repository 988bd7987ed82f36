// The process's own standard output.
#pragma once

#include <cstddef>

namespace osthread {

// Writes some of `bytes` straight to the descriptor, after what C's stdio holds back: how many, or -1 with
// errno set (EINTR: a signal came first).
std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept;

// After errno was EAGAIN, since somebody has made the descriptor non-blocking: waits until there is room, or
// a signal comes.
void wait_for_standard_output() noexcept;

}  // namespace osthread
