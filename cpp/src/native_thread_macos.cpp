#include <pthread.h>
#include <pthread/qos.h>

#include <cerrno>

#include "native_thread_os.hpp"

namespace osthread {

std::size_t os::longest_name() noexcept { return 63; }  // MAXTHREADNAMESIZE, without the final 0

void os::set_name(const char* name) noexcept { ::pthread_setname_np(name); }

// A class of service rather than a scheduling priority: setting that one would take the thread out of the
// classes, and so away from the fast cores.
std::error_code os::set_priority(Priority priority) noexcept {
  const qos_class_t service = priority == Priority::low    ? QOS_CLASS_UTILITY
                              : priority == Priority::high ? QOS_CLASS_USER_INITIATED
                                                           : QOS_CLASS_DEFAULT;
  return {::pthread_set_qos_class_self_np(service, 0), std::system_category()};
}

// The system has affinity tags (threads that would like to share a cache), and on Apple silicon not even
// those.
os::Pinned os::set_affinity(const std::vector<int>&) noexcept {
  return {std::error_code(ENOTSUP, std::system_category()), -1};
}

std::uint64_t current_native_id() noexcept {
  std::uint64_t id = 0;
  ::pthread_threadid_np(nullptr, &id);
  return id;
}

}  // namespace osthread
