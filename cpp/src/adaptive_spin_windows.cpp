#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <bit>

#include "adaptive_spin.hpp"

namespace osthread {
namespace {

// Asked when the library is loaded.
const bool several_cpus = [] {
  DWORD_PTR process = 0;
  DWORD_PTR system = 0;
  // 0: the process's threads run in several processor groups.
  if (::GetProcessAffinityMask(::GetCurrentProcess(), &process, &system) == 0 || process == 0) return true;
  return std::popcount(static_cast<std::uint64_t>(process)) > 1;
}();

}  // namespace

bool has_several_cpus() noexcept { return several_cpus; }

}  // namespace osthread
