#include <sched.h>

#include "background.hpp"

namespace osthread {

void lower_own_priority() noexcept {
  const sched_param none{};
  sched_setscheduler(0, SCHED_IDLE, &none);  // 0: this thread alone
}

}  // namespace osthread
