// Where a thread was when a signal interrupted it; zero on a machine that is not known here. A file for each
// system, as each has a context of its own.
#pragma once

#include <cstdint>

namespace osthread {

std::uintptr_t program_counter(const void* context) noexcept;
std::uintptr_t stack_pointer(const void* context) noexcept;

}  // namespace osthread
