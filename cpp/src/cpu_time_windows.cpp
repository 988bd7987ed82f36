#include <windows.h>

#include "cpu_time.hpp"

namespace osthread {
namespace {

double seconds_of(HANDLE thread) noexcept {
  FILETIME created, ended, kernel, user;
  if (!GetThreadTimes(thread, &created, &ended, &kernel, &user)) return -1;
  const auto ticks = [](FILETIME t) { return (std::uint64_t{t.dwHighDateTime} << 32) | t.dwLowDateTime; };
  return static_cast<double>(ticks(kernel) + ticks(user)) / 1e7;
}

}  // namespace

double thread_cpu_seconds(std::uintptr_t ident) noexcept {
  const HANDLE thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, static_cast<DWORD>(ident));
  if (!thread) return -1;
  const double seconds = seconds_of(thread);
  CloseHandle(thread);
  return seconds;
}

double current_cpu_seconds() noexcept { return seconds_of(GetCurrentThread()); }

}  // namespace osthread
