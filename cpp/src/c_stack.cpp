#include "c_stack.h"

constinit __thread const char* osthread_c_stack_limit = nullptr;
