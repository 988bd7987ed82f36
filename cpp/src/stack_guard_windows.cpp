#include "stack_guard.hpp"

#include "c_stack.h"
#include "stack_bounds.hpp"

namespace osthread::stack_guard {

void watch_this_thread() { osthread_c_stack_low = current_stack().low; }
void close_room() noexcept {}

}  // namespace osthread::stack_guard
