#include "stack_room.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace osthread::stack_room {
namespace {

constexpr std::uintptr_t kPage = 4096;

// All of one thread, read by its signal handler.
struct Room {
  std::uintptr_t low = 0;  // of what is open, or of what is put aside
  bool put_aside = false;  // it is the stack's own lowest part
  bool in_guard = false;   // or of the guard area
  bool is_open = false;
  std::uintptr_t first_high = 0;  // of the process's first thread: where its stack begins
  rlim_t limit = 0;               // what its limit was
};

[[gnu::tls_model("initial-exec")]] constinit thread_local Room room;

void protect(std::uintptr_t low, int protection) noexcept {
  ::mprotect(reinterpret_cast<void*>(low), kSize, protection);
}

// The kernel looks at the set before it looks at what is to be done with it (which is nonsense, so that it
// does nothing): the cheapest question that a signal handler may ask.
bool is_readable(std::uintptr_t address) noexcept {
  const int before = errno;
  const bool readable =
      ::syscall(SYS_rt_sigprocmask, ~0, address, nullptr, sizeof(long)) == 0 || errno != EFAULT;
  errno = before;
  return readable;
}

// The stack is the thread's own again when it ends: somebody else may get it then.
struct GivenBack {
  ~GivenBack() {
    if (room.put_aside) protect(room.low, PROT_READ | PROT_WRITE);
    room.put_aside = false;
  }
};

}  // namespace

void use_guard() noexcept { room.in_guard = true; }

void reserve(std::uintptr_t low, std::uintptr_t high) {
  if (::getpid() == static_cast<pid_t>(::syscall(SYS_gettid))) {
    room.first_high = high;
    return;
  }
  constexpr std::uintptr_t kLeast = 4 * kSize;  // of a smaller stack nothing can be spared
  if (high - low < kLeast) return;
  thread_local const GivenBack given_back;
  room.low = (low + kPage - 1) / kPage * kPage;
  room.put_aside = true;
  protect(room.low, PROT_NONE);
}

std::uintptr_t first_threads_low() noexcept {
  rlimit limit{};
  if (room.first_high == 0 || ::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return 0;
  return room.first_high - static_cast<std::uintptr_t>(limit.rlim_cur);
}

bool open(std::uintptr_t address) noexcept {
  if (room.is_open) return false;
  if (room.first_high != 0) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    room.limit = limit.rlim_cur;
    limit.rlim_cur += kSize;  // the kernel lets the stack grow so far
    room.is_open = ::setrlimit(RLIMIT_STACK, &limit) == 0;
    return room.is_open;
  }
  if (!room.put_aside && !room.in_guard) return false;
  if (room.in_guard) {
    // Of a guard area as large as ours (native_thread_posix.cpp): up to where the stack ends.
    std::uintptr_t end = address / kPage * kPage;
    const std::uintptr_t farthest = end + kSize;
    while (end < farthest && !is_readable(end)) end += kPage;
    room.low = end - kSize;
  }
  protect(room.low, PROT_READ | PROT_WRITE);
  room.is_open = true;
  return true;
}

void close() noexcept {
  if (!room.is_open) return;
  room.is_open = false;
  if (room.first_high != 0) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_STACK, &limit) != 0) return;
    limit.rlim_cur = room.limit;
    ::setrlimit(RLIMIT_STACK, &limit);
    return;
  }
  protect(room.low, PROT_NONE);
}

}  // namespace osthread::stack_room
