#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "fork.hpp"
#include "interrupt.hpp"
#include "run.hpp"

namespace osthread::interrupt {
namespace {

// SIGURG: ignored by default, so a stray one harms nobody, and hardly used (Go's runtime chose it for that,
// too).
constexpr int kSignal = SIGURG;

using Handler = void (*)(int, siginfo_t*, void*);

// A handler put over ours may call ours, and ours, put in front again, calls it.
#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local bool chaining = false;

struct Installing {
  std::mutex mutex;
};

constinit std::atomic<Handler> chained{nullptr};  // the handler that was there before ours
static_assert(std::atomic<Handler>::is_always_lock_free, "a signal handler reads it");

void on_signal(int number, siginfo_t* info, void* context) {
  const int saved = errno;
  Run::attend();
  // Acquire: pairs with the store in install(), which had the handler's own state written before it.
  const Handler before = chained.load(std::memory_order_acquire);
  if (before && !chaining) {
    chaining = true;
    before(number, info, context);
    chaining = false;
  }
  errno = saved;
}

bool installed() noexcept {
  struct sigaction now {};
  return sigaction(kSignal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
         now.sa_sigaction == on_signal;
}

// Somebody may have put a handler over ours since (Python's signal.signal does): then ours goes in front of
// it again.
void install() {
  if (installed()) return;
  const std::lock_guard lock(per_process<Installing>().mutex);
  if (installed()) return;
  struct sigaction ours {};
  struct sigaction before {};
  ours.sa_sigaction = on_signal;
  // ONSTACK: another runtime's thread may take the signal on a small stack. No RESTART: system calls shall
  // return.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  sigaction(kSignal, nullptr, &before);
  const bool chains =
      (before.sa_flags & SA_SIGINFO) || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
  // A handler without SA_SIGINFO ignores the further arguments, by every calling convention we run on.
  chained.store(!chains ? nullptr
                : (before.sa_flags & SA_SIGINFO)
                    ? before.sa_sigaction
                    : reinterpret_cast<Handler>(reinterpret_cast<void (*)()>(before.sa_handler)),
                std::memory_order_release);
  sigaction(kSignal, &ours, nullptr);
}

thread_local bool reachable = false;

}  // namespace

Target this_thread() {
  if (!reachable) {
    install();
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, kSignal);
    // It stays open after the run: to the thread, the signal then does nothing, and closing it would cost
    // each LuaState call two system calls.
    pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    reachable = true;
  }
  return {static_cast<std::uintptr_t>(pthread_self()), Run::slot()};
}

void poke(Target target) noexcept {
  install();
  pthread_kill(static_cast<pthread_t>(target.thread), kSignal);
}

int signal_number() noexcept { return kSignal; }

}  // namespace osthread::interrupt
