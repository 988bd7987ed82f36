#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602  // Windows 8: WaitOnAddress. Link with synchronization.lib
#endif
#include <windows.h>

#include <chrono>

#include "waiter.hpp"

namespace osthread {
namespace {

// Well below INFINITE; a far deadline is waited for in hours, looking at the clock in between.
constexpr std::chrono::milliseconds kLongestWait = std::chrono::hours(1);

void* address_of(const std::atomic<std::uint32_t>& word) noexcept {
  return const_cast<std::atomic<std::uint32_t>*>(&word);  // the system only reads it
}

}  // namespace

Waiter::Outcome Waiter::block(const Word& word, std::uint32_t value,
                              std::optional<Clock::time_point> deadline) noexcept {
  DWORD milliseconds = INFINITE;
  if (deadline) {
    const Clock::time_point now = Clock::now();
    if (*deadline <= now) return Outcome::timed_out;
    // Compared before it is subtracted: a huge deadline must not overflow.
    const auto wait = now < *deadline - kLongestWait
                          ? kLongestWait
                          : std::chrono::ceil<std::chrono::milliseconds>(*deadline - now);
    milliseconds = static_cast<DWORD>(wait.count());
  }
  ::WaitOnAddress(address_of(word), &value, sizeof value, milliseconds);
  // Whatever it says: it may return for no reason, and its time-outs may come a tick early.
  if (deadline && Clock::now() >= *deadline) return Outcome::timed_out;
  return Outcome::woken;
}

void Waiter::unblock_one(const Word& word) noexcept { ::WakeByAddressSingle(address_of(word)); }

void Waiter::unblock_all(const Word& word) noexcept { ::WakeByAddressAll(address_of(word)); }

}  // namespace osthread
