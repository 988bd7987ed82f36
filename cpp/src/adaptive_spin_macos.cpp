#include "adaptive_spin.hpp"

#include <sys/sysctl.h>

#include <algorithm>
#include <thread>

namespace osthread {
namespace {

// Asked when the library is loaded: what a function makes when it is first called stays locked in a fork's
// child, if a thread of the parent's was making it.
const std::size_t cpus_at_load = [] {
  int count = 0;
  std::size_t size = sizeof count;
  if (::sysctlbyname("hw.activecpu", &count, &size, nullptr, 0) != 0)
    return std::size_t{std::thread::hardware_concurrency()};
  return static_cast<std::size_t>(std::max(count, 0));
}();

}  // namespace

std::size_t usable_cpus() noexcept { return std::max<std::size_t>(cpus_at_load, 1); }

}  // namespace osthread
