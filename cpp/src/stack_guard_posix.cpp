#include "stack_guard.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "c_stack.h"
#include "fork.hpp"
#include "program_counter.hpp"
#include "run.hpp"
#include "stack_bounds.hpp"

namespace osthread::stack_guard {
namespace {

// What a C function that is still entered may use, at least: LuaJIT's own need 9 KiB a level.
constexpr std::size_t kReserve = 64 * 1024;
// A frame may touch first what lies this far below its caller's.
constexpr std::uintptr_t kReach = 64 * 1024;

// On a full stack a handler has no room: it gets a stack of its own, unless somebody has given the thread
// one.
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

struct Watched {
  std::uintptr_t low = 0;    // the stack's lowest address; 0: not watched
  std::uintptr_t guard = 0;  // bytes below it that nobody may touch
};

#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local Watched watched;

struct Installing {
  std::mutex mutex;
};

using Handler = void (*)(int, siginfo_t*, void*);

// The handlers before ours, of the two signals that a guard page raises.
struct Before {
  std::atomic<Handler> handler{nullptr};
  std::atomic<bool> takes_info{false};
  std::atomic<int> flags{0};
};
constinit Before before_segv, before_bus;

Before& before(int number) noexcept { return number == SIGSEGV ? before_segv : before_bus; }

void on_fault(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t sp = stack_pointer(context);
  // Its own guard area, with the stack pointer nearby: not a wild pointer that happens to point there.
  if (watched.low != 0 && address < watched.low + kReach && address >= watched.low - watched.guard - kReach &&
      sp < watched.low + 2 * kReach)
    Run::on_overflow();
  const Handler handler = before(number).handler.load(std::memory_order_acquire);
  if (handler) {
    handler(number, info, context);
    return;
  }
  // Nobody else's: as if we were not here. The instruction faults again.
  struct sigaction none {};
  none.sa_handler = SIG_DFL;
  sigemptyset(&none.sa_mask);
  sigaction(number, &none, nullptr);
}

bool installed(int number) noexcept {
  struct sigaction now {};
  return sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault;
}

void install(int number) {
  if (installed(number)) return;
  const std::lock_guard lock(per_process<Installing>().mutex);
  if (installed(number)) return;
  struct sigaction ours {};
  struct sigaction now {};
  ours.sa_sigaction = on_fault;
  // NODEFER: a handler before ours may raise the signal again to end the process.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&ours.sa_mask);
  sigaction(number, nullptr, &now);
  const bool chains = (now.sa_flags & SA_SIGINFO) || (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
  // A handler without SA_SIGINFO ignores the further arguments, by every calling convention we run on.
  before(number).handler.store(!chains ? nullptr
                               : (now.sa_flags & SA_SIGINFO)
                                   ? now.sa_sigaction
                                   : reinterpret_cast<Handler>(reinterpret_cast<void (*)()>(now.sa_handler)),
                               std::memory_order_release);
  sigaction(number, &ours, nullptr);
}

}  // namespace

void watch_this_thread() {
  thread_local const AlternateStack alternate;
  const StackBounds bounds = current_stack();
  if (bounds.low == 0) return;
  watched = {bounds.low, bounds.guard};
  osthread_c_stack_limit = reinterpret_cast<const char*>(bounds.low + kReserve);
  for (const int number : {SIGSEGV, SIGBUS}) install(number);
}

}  // namespace osthread::stack_guard
