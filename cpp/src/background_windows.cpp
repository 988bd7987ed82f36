#include <windows.h>

#include "background.hpp"

namespace osthread {

void lower_own_priority() noexcept { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_IDLE); }

}  // namespace osthread
