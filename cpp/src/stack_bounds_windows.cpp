#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#endif
#include <windows.h>

#include "stack_bounds.hpp"

namespace osthread {

StackBounds current_stack() noexcept {
  ULONG_PTR low = 0;
  ULONG_PTR high = 0;
  ::GetCurrentThreadStackLimits(&low, &high);
  return {low, high};
}

}  // namespace osthread
