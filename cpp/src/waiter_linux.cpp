#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>

#include "waiter.hpp"

namespace osthread {
namespace {

static_assert(sizeof(time_t) == 8 && sizeof(long) == 8,
              "SYS_futex takes this timespec on 64-bit systems only");

// 136 years: for ever, without the risk of an overflow in somebody's arithmetic.
constexpr timespec kNever{.tv_sec = 0xffffffff, .tv_nsec = 0};

// libstdc++'s and libc++'s steady_clock is CLOCK_MONOTONIC, and so is the futex's absolute time.
timespec absolute_time(std::optional<Clock::time_point> deadline) noexcept {
  if (!deadline) return kNever;
  const auto since_boot = std::max(deadline->time_since_epoch(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  if (seconds.count() >= kNever.tv_sec) return kNever;
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds);
  return {.tv_sec = seconds.count(), .tv_nsec = rest.count()};
}

void wake(const std::atomic<std::uint32_t>& word, int how_many) noexcept {
  const int saved_errno = errno;  // a signal handler may be calling, in the middle of somebody's errno
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, how_many, nullptr, nullptr, 0);
  errno = saved_errno;
}

}  // namespace

Waiter::Outcome Waiter::block(const Word& word, std::uint32_t value,
                              std::optional<Clock::time_point> deadline) noexcept {
  // There is always a time-out: a futex wait without one is silently resumed after a handler with SA_RESTART,
  // and the caller would not hear of the signal.
  const timespec until = absolute_time(deadline);
  const long result =
      ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, value, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  if (result == -1 && errno == ETIMEDOUT) return deadline ? Outcome::timed_out : Outcome::woken;
  if (result == -1 && errno == EINTR) return Outcome::interrupted;
  return Outcome::woken;  // or EAGAIN: the word had changed before we slept
}

void Waiter::unblock_one(const Word& word) noexcept { wake(word, 1); }

void Waiter::unblock_all(const Word& word) noexcept { wake(word, INT_MAX); }

}  // namespace osthread
