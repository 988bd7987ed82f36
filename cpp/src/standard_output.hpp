// The process's own standard output.
#pragma once

#include <cstddef>

namespace osthread {

// Writes some of `bytes` straight to the descriptor, after what C's stdio holds back: how many, or -1 with
// errno set (EINTR: a signal came first).
std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept;

}  // namespace osthread
