#include "stack_guard.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>

#include "c_stack.h"
#include "chained_handler_posix.hpp"
#include "native_thread_os.hpp"
#include "program_counter.hpp"
#include "run.hpp"
#include "stack_bounds.hpp"
#include "stack_room.hpp"

namespace osthread::stack_guard {
namespace {

// How far above os::own_stack_low() the stack may end: what the C library keeps there, thread-local variables
// for one, and our alternate stack.
constexpr std::uintptr_t kUnknown = 64 * 1024;
// A frame may touch first what lies this far below its caller's.
constexpr std::uintptr_t kReach = 64 * 1024;

// On a full stack a handler has no room. A thread that is not ours gets a stack for it, unless it has one.
class AlternateStack {
 public:
  AlternateStack() noexcept {
    stack_t now{};
    if (sigaltstack(nullptr, &now) != 0 || !(now.ss_flags & SS_DISABLE)) return;
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t ours{};
    ours.ss_sp = memory;
    ours.ss_size = kSize;
    if (sigaltstack(&ours, nullptr) == 0)
      memory_ = memory;
    else
      munmap(memory, kSize);
  }
  ~AlternateStack() {
    if (!memory_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    none.ss_size = kSize;  // macOS wants one
    sigaltstack(&none, nullptr);
    munmap(memory_, kSize);
  }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  static constexpr std::size_t kSize = 64 * 1024;
  void* memory_ = nullptr;
};

#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local bool faulting = false;  // in a handler before ours, which may raise the signal again

#ifdef __APPLE__
constexpr int kGuardFault = SIGBUS;
#else
constexpr int kGuardFault = SIGSEGV;
#endif

void on_fault(int number, siginfo_t* info, void* context);

// NODEFER: a handler before ours may raise the signal again to end the process.
constinit ChainedHandler handler(on_fault, SA_ONSTACK | SA_NODEFER);

// Next to a stack pointer that has come to the stack's end: no wild pointer looks like that. It is the kernel
// that tells of it.
bool is_overflow(const siginfo_t* info, std::uintptr_t sp) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t distance = address > sp ? address - sp : sp - address;
  const std::uintptr_t first = stack_room::first_threads_low();
  const std::uintptr_t low = first != 0 ? first : osthread_c_stack_low;
  return info->si_code > 0 && low != 0 && distance < kReach && sp < low + kUnknown + stack_room::kSize;
}

void on_fault(int number, siginfo_t* info, void* context) {
  if (is_overflow(info, stack_pointer(context))) {
    const std::uintptr_t pc = program_counter(context);
    if (Run::overflow_at(pc, false)) Run::leave_here();
    if (Run::in_call() && stack_room::open(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
      Run::leave_for_overflow();
      return;  // it goes on where it was
    }
    if (Run::overflow_at(pc, true)) Run::leave_here();
  }
  const ChainedHandler::Function before = handler.before();
  if (before && !faulting) {
    faulting = true;
    before(number, info, context);
    faulting = false;
    return;
  }
  // Nobody else's, or raised again by the one that had it: as if we were not here. The instruction faults
  // again.
  struct sigaction none {};
  none.sa_handler = SIG_DFL;
  sigemptyset(&none.sa_mask);
  sigaction(number, &none, nullptr);
}

}  // namespace

void watch_this_thread() {
  std::uintptr_t low = os::own_stack_low();
  if (low == 0) {
    thread_local const AlternateStack alternate;
    const StackBounds bounds = current_stack();
    low = bounds.low;
    if (low != 0) stack_room::reserve(low, bounds.high);
  } else {
    stack_room::use_guard();
  }
  if (low == 0) return;
  osthread_c_stack_low = low;
  handler.install(kGuardFault);
}

void close_room() noexcept { stack_room::close(); }

}  // namespace osthread::stack_guard
