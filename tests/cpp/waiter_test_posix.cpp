// Signals and the Waiter: a handler cuts a wait short, and a handler may wake.

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "../../cpp/src/waiter.hpp"

// ThreadSanitizer holds an asynchronous signal back until the thread next calls something it intercepts; a
// thread that is parked calls nothing.
#if defined(__SANITIZE_THREAD__)
#define OSTHREAD_SIGNAL_TEST doctest::skip(true)
#else
#define OSTHREAD_SIGNAL_TEST doctest::skip(false)
#endif

using namespace std::chrono_literals;
using osthread::Clock;
using osthread::Waiter;

namespace {

class SignalHandlerGuard {
 public:
  SignalHandlerGuard(void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(SIGUSR1, &action, &before_);
  }
  ~SignalHandlerGuard() { sigaction(SIGUSR1, &before_, nullptr); }
  SignalHandlerGuard(const SignalHandlerGuard&) = delete;
  SignalHandlerGuard& operator=(const SignalHandlerGuard&) = delete;

 private:
  struct sigaction before_ {};
};

std::atomic<int> signals_handled{0};
std::atomic<int> wakes_asked{0};
Waiter handler_waiter;

void count_signal(int) { signals_handled.fetch_add(1); }

void wake_from_handler(int) {
  wakes_asked.fetch_add(1);
  handler_waiter.wake_all();
}

Waiter::Outcome park_under_signals(std::optional<Clock::time_point> deadline, bool spin) {
  Waiter waiter;
  std::atomic<bool> ended = false;
  Waiter::Outcome outcome = Waiter::Outcome::woken;
  std::thread parker([&] {
    outcome = waiter.park(waiter.ticket(), deadline, spin);
    ended = true;
  });
  // One that comes before it sleeps is not noticed, so again until one was.
  while (!ended) {
    pthread_kill(parker.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  parker.join();
  return outcome;
}

}  // namespace

TEST_CASE("a signal handler ends a wait at once" * OSTHREAD_SIGNAL_TEST) {
  for (const int flags : {0, SA_RESTART}) {
    const SignalHandlerGuard guard(count_signal, flags);
    for (const bool spin : {false, true}) {
      CAPTURE(flags);
      CAPTURE(spin);
      signals_handled = 0;
      CHECK(park_under_signals(std::nullopt, spin) == Waiter::Outcome::interrupted);
      CHECK(park_under_signals(Clock::now() + 60s, spin) == Waiter::Outcome::interrupted);
      CHECK(park_under_signals(Clock::time_point::max(), spin) == Waiter::Outcome::interrupted);
      CHECK(signals_handled > 0);
    }
  }
}

TEST_CASE("a wake from a signal handler on the parked thread itself is not lost" * OSTHREAD_SIGNAL_TEST) {
  const SignalHandlerGuard guard(wake_from_handler, SA_RESTART);
  wakes_asked = 0;
  constexpr int kRounds = 3000;
  std::atomic<int> seen = 0;
  std::atomic<bool> lost = false;
  std::thread parker([&] {
    for (int wanted = 1; wanted <= kRounds && !lost; ++wanted) {
      for (;;) {
        const Waiter::Ticket ticket = handler_waiter.ticket();
        if (wakes_asked.load() >= wanted) break;
        if (handler_waiter.park(ticket, Clock::now() + 60s, wanted % 2 == 0) == Waiter::Outcome::timed_out) {
          lost = true;
          break;
        }
      }
      seen = wanted;
    }
  });
  // One signal for each round, wherever it catches the thread: before, in or after the wait.
  for (int i = 1; i <= kRounds && !lost; ++i) {
    pthread_kill(parker.native_handle(), SIGUSR1);
    while (seen < i && !lost) std::this_thread::yield();
  }
  parker.join();
  CHECK_FALSE(lost);
}

TEST_CASE("a wake from a signal handler reaches other threads, and leaves errno alone") {
  const SignalHandlerGuard guard(wake_from_handler, 0);
  wakes_asked = 0;
  bool woken = false;
  std::thread parker([&] {
    for (;;) {
      const Waiter::Ticket ticket = handler_waiter.ticket();
      if (wakes_asked.load() != 0) break;
      if (handler_waiter.park(ticket, Clock::now() + 60s) == Waiter::Outcome::timed_out) return;
    }
    woken = true;
  });
  errno = ERANGE;
  raise(SIGUSR1);
  CHECK(errno == ERANGE);
  parker.join();
  CHECK(woken);
}
