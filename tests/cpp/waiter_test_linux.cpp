#include <doctest/doctest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../cpp/src/waiter.hpp"

// ThreadSanitizer gives a fork()ed child a thread of its own, which outlives this one: in strict mode only
// exit() of a single thread is allowed.
#if defined(__SANITIZE_THREAD__)
#define OSTHREAD_SECCOMP_TEST doctest::skip(true)
#else
#define OSTHREAD_SECCOMP_TEST doctest::skip(false)
#endif

TEST_CASE("waking nobody makes no system call" * OSTHREAD_SECCOMP_TEST) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    osthread::Waiter waiter;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);  // from here on a futex call is SIGKILL
    waiter.wake_all();
    waiter.wake_one();
    const auto ticket = waiter.ticket();
    waiter.wake_all();
    syscall(SYS_exit, waiter.park(ticket, std::nullopt) == osthread::Waiter::Outcome::woken ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  const int code = WEXITSTATUS(status);
  if (code == 77) {
    MESSAGE("no seccomp here");
  } else {
    CHECK(code == 0);
  }
}
