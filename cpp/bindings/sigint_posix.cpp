#include <signal.h>

#include <atomic>
#include <cerrno>

#include "osthread/osthread.hpp"
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

void stand_before(void (*note)() noexcept) {
  struct sigaction now {};
  // Asked again each time, as signal.signal() puts Python's handler over ours.
  if (sigaction(SIGINT, nullptr, &now) != 0 || now.sa_handler == on_interrupt) return;
  if ((now.sa_flags & SA_SIGINFO) || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) return;
  noted.store(note, std::memory_order_release);
  before.store(now.sa_handler, std::memory_order_release);
  struct sigaction ours = now;
  ours.sa_handler = on_interrupt;
  ours.sa_flags |= SA_ONSTACK;
  // What the note sends this thread comes when the handler has returned, to where it was interrupted.
  if (const int signal = features().signal) sigaddset(&ours.sa_mask, signal);
  sigaction(SIGINT, &ours, nullptr);
  note();  // one may have come just before, which only the other handler has seen
}

}  // namespace osthread::python::sigint
