#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "chained_handler_posix.hpp"
#include "interrupt.hpp"
#include "program_counter.hpp"
#include "run.hpp"
#include "stack_guard.hpp"

namespace osthread::interrupt {
namespace {

// A handler put over ours may call ours, and ours, put in front again, calls it.
#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local bool chaining = false;

// Of those that a program may use as it likes; the others have a meaning for the kernel or for C.
bool is_usable(int number) noexcept {
  for (const int usable : {SIGURG, SIGUSR1, SIGUSR2, SIGWINCH, SIGIO})
    if (number == usable) return true;
#ifdef SIGRTMIN
  return number >= SIGRTMIN && number <= SIGRTMAX;
#else
  return false;
#endif
}

// What OSTHREAD_SIGNAL says if that is nothing to choose, cut to what fits, and whether nobody has made up
// for it yet.
constinit char misread[32] = "";
constinit std::atomic<bool> misread_stands{false};

// SIGURG: ignored by default, so a stray one harms nobody, and hardly used (Go's runtime chose it for that,
// too). The environment is read once, when the library is loaded: later, somebody may be changing it.
int first_choice() noexcept {
  const char* text = std::getenv("OSTHREAD_SIGNAL");
  if (!text || *text == '\0') return SIGURG;
  int number = -1;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), number);
  if (error == std::errc() && *end == '\0' && (number == 0 || is_usable(number))) return number;
  std::strncpy(misread, text, sizeof misread - 1);
  misread_stands.store(true, std::memory_order_relaxed);
  return SIGURG;
}

std::atomic<int> chosen{first_choice()};

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what +
                              ": SIGURG, SIGUSR1, SIGUSR2, SIGWINCH, SIGIO and the real-time signals can, "
                              "and 0, for none");
}

std::atomic<bool> taken{false};

void on_signal(int number, siginfo_t* info, void* context);

// ONSTACK: another runtime's thread may take the signal on a small stack, and one of ours on a full one. No
// RESTART: system calls shall return.
constinit ChainedHandler handler(on_signal, SA_ONSTACK);

void on_signal(int number, siginfo_t* info, void* context) {
  const int saved = errno;
  const ChainedHandler::Function before = handler.before();
  if (before && !chaining) {
    chaining = true;
    before(number, info, context);
    chaining = false;
  }
  const bool leaves = Run::attend_at(Run::slot(), program_counter(context), stack_pointer(context));
  errno = saved;
  if (leaves) Run::leave_here();
}

thread_local bool reachable = false;

}  // namespace

Target this_thread() {
  if (!reachable) {
    taken.store(true, std::memory_order_relaxed);
    stack_guard::watch_this_thread();
    if (const int number = signal_number()) {
      if (!handler.installed_once()) handler.install(number);  // later poke() looks after it
      sigset_t ours;
      sigemptyset(&ours);
      sigaddset(&ours, number);
      // It stays open after the run: to the thread, the signal then does nothing, and closing it would cost
      // each LuaState call two system calls.
      pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    }
    reachable = true;
  }
  return {static_cast<std::uintptr_t>(pthread_self()), Run::slot()};
}

void poke(Target target) noexcept {
  const int number = signal_number();
  if (number == 0) return;
  handler.install(number);
  pthread_kill(static_cast<pthread_t>(target.thread), number);
}

void poke_this_thread() noexcept {
  if (const int number = signal_number()) pthread_kill(pthread_self(), number);
}

int signal_number() noexcept { return chosen.load(std::memory_order_relaxed); }

bool reaches_running_code() noexcept { return signal_number() != 0; }

void set_signal(int number) {
  if (number != 0 && !is_usable(number)) refuse("signal " + std::to_string(number) + " can't be taken");
  if (taken.load(std::memory_order_relaxed) && number != signal_number())
    throw std::logic_error(
        "the signal is chosen before the first OSThread or LuaState runs: one has been running");
  chosen.store(number, std::memory_order_relaxed);
  misread_stands.store(false, std::memory_order_relaxed);
}

void require_choice() {
  if (misread_stands.load(std::memory_order_relaxed))
    refuse(std::string("OSTHREAD_SIGNAL=") + misread +
           " in the environment is not the number of a signal that can be taken");
}

void let_signals_through() noexcept {
  sigset_t held;
  sigemptyset(&held);
  if (const int number = signal_number()) sigaddset(&held, number);
  sigaddset(&held, SIGSEGV);
  sigaddset(&held, SIGBUS);  // macOS's for a guard page
  pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
}

}  // namespace osthread::interrupt
