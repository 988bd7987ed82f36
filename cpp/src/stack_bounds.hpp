// Where the calling thread's C stack lies.
#pragma once

#include <cstddef>
#include <cstdint>

namespace osthread {

struct StackBounds {
  std::uintptr_t low = 0;  // its lowest address; 0: not known
  std::uintptr_t high = 0;
};

StackBounds current_stack() noexcept;

}  // namespace osthread
