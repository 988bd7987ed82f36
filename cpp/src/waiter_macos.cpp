#include <algorithm>
#include <cerrno>
#include <chrono>

#include "waiter.hpp"

// The system calls under libc++'s std::atomic::wait, os_unfair_lock and Go's and Rust's locks, since
// macOS 10.12. The public os_sync_wait_on_address() came with 14.4 only, and sets errno when there was nobody
// to wake.
extern "C" int __ulock_wait(std::uint32_t operation, void* address, std::uint64_t value,
                            std::uint32_t microseconds);
extern "C" int __ulock_wake(std::uint32_t operation, void* address, std::uint64_t wake_value);

namespace osthread {
namespace {

constexpr std::uint32_t kCompareAndWait = 1;    // UL_COMPARE_AND_WAIT: 4 bytes, this process only
constexpr std::uint32_t kWakeAll = 0x00000100;  // ULF_WAKE_ALL
constexpr std::uint32_t kNoErrno = 0x01000000;  // ULF_NO_ERRNO: returns -errno instead

// The time-out is relative, 32 bits of microseconds, and does not count while the machine sleeps: a far
// deadline is waited for in hours, looking at the clock in between.
constexpr std::chrono::microseconds kLongestWait = std::chrono::hours(1);

void* address_of(const std::atomic<std::uint32_t>& word) noexcept {
  return const_cast<std::atomic<std::uint32_t>*>(&word);  // the system only reads it
}

}  // namespace

Waiter::Outcome Waiter::block(const Word& word, std::uint32_t value,
                              std::optional<Clock::time_point> deadline) noexcept {
  std::uint32_t microseconds = 0;  // for ever
  if (deadline) {
    const Clock::time_point now = Clock::now();
    if (*deadline <= now) return Outcome::timed_out;
    // Compared before it is subtracted: time_point::max() minus a clock that may start below 0 would
    // overflow.
    const auto wait = now < *deadline - kLongestWait
                          ? kLongestWait
                          : std::chrono::ceil<std::chrono::microseconds>(*deadline - now);
    microseconds = static_cast<std::uint32_t>(wait.count());
  }
  const int result = ::__ulock_wait(kCompareAndWait | kNoErrno, address_of(word), value, microseconds);
  if (result == -EINTR) return Outcome::interrupted;
  if (result == -ETIMEDOUT && deadline && Clock::now() >= *deadline) return Outcome::timed_out;
  return Outcome::woken;  // or the hour is over, or the page was not in memory (EFAULT): look again
}

void Waiter::unblock_one(const Word& word) noexcept {
  ::__ulock_wake(kCompareAndWait | kNoErrno, address_of(word), 0);
}

void Waiter::unblock_all(const Word& word) noexcept {
  ::__ulock_wake(kCompareAndWait | kNoErrno | kWakeAll, address_of(word), 0);
}

}  // namespace osthread
