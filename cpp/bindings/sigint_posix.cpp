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

// Two counters: who sees them equal, and then the handler in front, knows that the last one counts it.
std::atomic<std::uint32_t> begun{0};
std::atomic<std::uint32_t> done{0};

class Counted {
 public:
  Counted() noexcept { begun.fetch_add(1); }
  ~Counted() { done.fetch_add(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

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
  if (sigaction(SIGINT, nullptr, &now) != 0) return true;
  const std::uint32_t ended = done.load();  // after the handler, and before the other
  if (now.sa_handler == on_interrupt) return ended == begun.load();
  return (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN;
}

const std::atomic<std::uint32_t>& times_put_before() noexcept { return done; }
void forget_parents() noexcept { done.store(begun.load()); }

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
    const Counted counted;
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
