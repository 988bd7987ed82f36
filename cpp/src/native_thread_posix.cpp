#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <climits>

#include "native_thread_os.hpp"

namespace osthread {
namespace {

static_assert(sizeof(pthread_t) == sizeof(std::uintptr_t), "Python's get_ident() makes the same assumption");

std::uintptr_t to_number(pthread_t thread) noexcept { return std::bit_cast<std::uintptr_t>(thread); }

pthread_t to_thread(std::uintptr_t handle) noexcept { return std::bit_cast<pthread_t>(handle); }

// The creator blocks everything while it makes the thread, which so begins with everything blocked, and
// chooses its own mask: neither ever takes a signal that it should not. (glibc's pthread_attr_setsigmask_np()
// would do without, but needs glibc 2.32, which the wheels can't.)
class BlockedSignalsGuard {
 public:
  BlockedSignalsGuard() noexcept {
    sigset_t everything;
    ::sigfillset(&everything);
    ::pthread_sigmask(SIG_SETMASK, &everything, &before_);
  }
  ~BlockedSignalsGuard() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignalsGuard(const BlockedSignalsGuard&) = delete;
  BlockedSignalsGuard& operator=(const BlockedSignalsGuard&) = delete;

 private:
  sigset_t before_;
};

void choose_signals() noexcept {
  sigset_t blocked;
  ::sigfillset(&blocked);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
    ::sigdelset(&blocked, own);
  }
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

// What a signal handler runs on when the thread's stack is full. It lies at the stack's other end, where it
// costs no call of the system, and no memory until it is used.
class AlternateStack {
 public:
  AlternateStack() noexcept {
    stack_t ours{};
    ours.ss_sp = memory_;
    ours.ss_size = sizeof memory_;
    ::sigaltstack(&ours, &before_);  // a sanitizer may have given it one already
  }
  // What runs in the thread after this may use the same memory for its frames.
  ~AlternateStack() {
    if (before_.ss_flags & SS_DISABLE) before_.ss_size = sizeof memory_;  // macOS wants one
    ::sigaltstack(&before_, nullptr);
  }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  stack_t before_{};
  alignas(16) unsigned char memory_[os::kAlternateStack];  // never written by us: an initialiser would touch
                                                           // every page
};

extern "C" void* osthread_new_thread(void* argument) {
  choose_signals();
  const AlternateStack alternate;
  os::run_new_thread(argument);
  return nullptr;
}

// A size that is no multiple of the page is an error on macOS. One too large to be rounded stays what it is,
// and is refused by the system.
std::size_t whole_pages(std::size_t bytes) noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes > SIZE_MAX - page ? bytes : (bytes + page - 1) / page * page;
}

std::error_code system_error(int error) noexcept { return {error, std::system_category()}; }

}  // namespace

os::MadeThread os::make_thread(void* argument, std::size_t stack_size) noexcept {
  pthread_attr_t attributes;
  if (const int error = ::pthread_attr_init(&attributes)) return {.error = system_error(error)};
  int error = stack_size == 0 ? 0 : ::pthread_attr_setstacksize(&attributes, whole_pages(stack_size));
  // So much that an overflow can be given some of it, to end what it is in the middle of (stack_room.hpp).
  constexpr std::size_t kGuard = 72 * 1024;
  if (error == 0) error = ::pthread_attr_setguardsize(&attributes, kGuard);
  pthread_t thread{};
  if (error == 0) {
    const BlockedSignalsGuard guard;
    error = ::pthread_create(&thread, &attributes, osthread_new_thread, argument);
  }
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return {.error = system_error(error)};
  return {.handle = to_number(thread), .ident = to_number(thread), .error = {}};
}

std::size_t os::default_stack_size() noexcept {
  pthread_attr_t attributes;
  std::size_t size = 0;
  if (::pthread_attr_init(&attributes) != 0) return 0;
  ::pthread_attr_getstacksize(&attributes, &size);
  ::pthread_attr_destroy(&attributes);
  return size;
}

void os::join_thread(std::uintptr_t handle) noexcept { ::pthread_join(to_thread(handle), nullptr); }

void os::detach_thread(std::uintptr_t handle) noexcept { ::pthread_detach(to_thread(handle)); }

std::uint64_t os::process_id() noexcept { return static_cast<std::uint64_t>(::getpid()); }

std::uintptr_t current_ident() noexcept { return to_number(::pthread_self()); }

}  // namespace osthread
