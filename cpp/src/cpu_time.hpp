// CPU time of a thread.
#pragma once

#include <cstdint>

namespace osthread {

// Seconds of CPU that a living thread has had, by its ident (see native_thread.hpp); negative if the system
// does not tell.
double thread_cpu_seconds(std::uintptr_t ident) noexcept;
double current_cpu_seconds() noexcept;

}  // namespace osthread
