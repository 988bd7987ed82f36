// A signal handler of ours in front of whoever had the signal before, who is called as well.
//
// Thread safety: install() may be called from any thread; before() in the handler itself.
#pragma once

#include <signal.h>

#include <atomic>
#include <mutex>

#include "fork.hpp"

namespace osthread {

class ChainedHandler {
 public:
  using Function = void (*)(int, siginfo_t*, void*);

  constexpr ChainedHandler(Function ours, int flags) noexcept : ours_(ours), flags_(flags) {}

  // Unless it is in front already: somebody may have put a handler over it since (Python's signal.signal
  // does). std::bad_alloc.
  void install(int number) {
    if (installed(number)) return;
    const std::lock_guard lock(per_process<Installing>().mutex);
    if (installed(number)) return;
    struct sigaction action {};
    struct sigaction there {};
    action.sa_sigaction = ours_;
    action.sa_flags = flags_ | SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(number, nullptr, &there);
    const bool chains =
        (there.sa_flags & SA_SIGINFO) || (there.sa_handler != SIG_DFL && there.sa_handler != SIG_IGN);
    // A handler without SA_SIGINFO ignores the further arguments, by every calling convention we run on.
    // Release: what the handler reads of its own was written before it could be here.
    before_.store(!chains ? nullptr
                  : (there.sa_flags & SA_SIGINFO)
                      ? there.sa_sigaction
                      : reinterpret_cast<Function>(reinterpret_cast<void (*)()>(there.sa_handler)),
                  std::memory_order_release);
    sigaction(number, &action, nullptr);
    installed_once_.store(true, std::memory_order_relaxed);
  }
  bool installed_once() const noexcept { return installed_once_.load(std::memory_order_relaxed); }

  // Null: there was none.
  Function before() const noexcept { return before_.load(std::memory_order_acquire); }

 private:
  struct Installing {
    std::mutex mutex;
  };

  bool installed(int number) const noexcept {
    struct sigaction now {};
    return sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == ours_;
  }

  const Function ours_;
  const int flags_;
  std::atomic<Function> before_{nullptr};
  std::atomic<bool> installed_once_{false};
  static_assert(std::atomic<Function>::is_always_lock_free, "a signal handler reads it");
};

}  // namespace osthread
