#include <signal.h>

#include <atomic>
#include <cerrno>

#include "host.hpp"
#include "sigint.hpp"

namespace osthread::python::sigint {
namespace {

using Handler = void (*)(int);
std::atomic<Handler> before{nullptr};
std::atomic<void (*)() noexcept> noted{nullptr};
static_assert(std::atomic<Handler>::is_always_lock_free, "a signal handler reads it");

#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local bool chaining = false;

void on_interrupt(int number) {
  const int saved = errno;
  const Handler handler = before.load(std::memory_order_acquire);
  if (handler && !chaining) {  // a handler put over ours may call ours
    chaining = true;
    handler(number);
    chaining = false;
  }
  if (const auto note = noted.load(std::memory_order_acquire)) note();
  errno = saved;
}

}  // namespace

bool stands_before() noexcept {
  struct sigaction now {};
  return sigaction(SIGINT, nullptr, &now) != 0 || now.sa_handler == on_interrupt ||
         (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN;
}

bool stand_before(void (*note)() noexcept) noexcept {
  struct sigaction now {};
  // Asked again each time, as signal.signal() puts Python's handler over ours.
  if (sigaction(SIGINT, nullptr, &now) != 0) return false;
  while (now.sa_handler != on_interrupt) {
    if ((now.sa_flags & SA_SIGINFO) || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) return false;
    noted.store(note, std::memory_order_release);
    before.store(now.sa_handler, std::memory_order_release);
    struct sigaction ours = now;
    ours.sa_handler = on_interrupt;
    ours.sa_flags |= SA_ONSTACK;
    // What the note sends this thread comes when the handler has returned, to where it was interrupted.
    if (const int signal = host::signal_number()) sigaddset(&ours.sa_mask, signal);
    struct sigaction replaced {};
    sigaction(SIGINT, &ours, &replaced);
    if (replaced.sa_handler == now.sa_handler || replaced.sa_handler == on_interrupt) return true;
    // Another thread has put its own there meanwhile: that is the one to stand before.
    sigaction(SIGINT, &replaced, nullptr);
    now = replaced;
  }
  return false;
}

}  // namespace osthread::python::sigint
