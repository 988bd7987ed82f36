#include "c_stack.h"

constinit __thread uintptr_t osthread_c_stack_low = 0;
