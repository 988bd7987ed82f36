#include <pthread/qos.h>

#include "background.hpp"

namespace osthread {

void lower_own_priority() noexcept { pthread_set_qos_class_self_np(QOS_CLASS_BACKGROUND, 0); }

}  // namespace osthread
