#include <mach/mach.h>
#include <pthread.h>

#include "cpu_time.hpp"

namespace osthread {

double thread_cpu_seconds(std::uintptr_t handle) noexcept {
  thread_basic_info info{};
  mach_msg_type_number_t count = THREAD_BASIC_INFO_COUNT;
  const mach_port_t port = pthread_mach_thread_np(reinterpret_cast<pthread_t>(handle));
  if (thread_info(port, THREAD_BASIC_INFO, reinterpret_cast<thread_info_t>(&info), &count) != KERN_SUCCESS)
    return -1;
  return info.user_time.seconds + info.user_time.microseconds / 1e6 + info.system_time.seconds +
         info.system_time.microseconds / 1e6;
}

double current_cpu_seconds() noexcept {
  return thread_cpu_seconds(reinterpret_cast<std::uintptr_t>(pthread_self()));
}

}  // namespace osthread
