#include <sys/ucontext.h>

#include "program_counter.hpp"

namespace osthread {

std::uintptr_t program_counter(const void* context) noexcept {
  const auto* machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return machine->__ss.__rip;
#else
  return static_cast<std::uintptr_t>(__darwin_arm_thread_state64_get_pc(machine->__ss));
#endif
}

std::uintptr_t stack_pointer(const void* context) noexcept {
  const auto* machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return machine->__ss.__rsp;
#else
  return static_cast<std::uintptr_t>(__darwin_arm_thread_state64_get_sp(machine->__ss));
#endif
}

}  // namespace osthread
