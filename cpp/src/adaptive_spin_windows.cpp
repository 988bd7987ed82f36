#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <algorithm>
#include <bit>
#include <thread>

#include "adaptive_spin.hpp"

namespace osthread {
namespace {

// Asked when the library is loaded.
const std::size_t cpus_at_load = [] {
  DWORD_PTR process = 0;
  DWORD_PTR system = 0;
  // 0: the process's threads run in several processor groups.
  if (::GetProcessAffinityMask(::GetCurrentProcess(), &process, &system) == 0 || process == 0)
    return std::size_t{std::thread::hardware_concurrency()};
  return static_cast<std::size_t>(std::popcount(static_cast<std::uint64_t>(process)));
}();

}  // namespace

std::size_t usable_cpus() noexcept { return std::max<std::size_t>(cpus_at_load, 1); }

}  // namespace osthread
