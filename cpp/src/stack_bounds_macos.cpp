#include <pthread.h>

#include "stack_bounds.hpp"

namespace osthread {

StackBounds current_stack() noexcept {
  const auto high = reinterpret_cast<std::uintptr_t>(::pthread_get_stackaddr_np(::pthread_self()));
  const std::size_t size = ::pthread_get_stacksize_np(::pthread_self());
  return {high - size, high};
}

}  // namespace osthread
