#include "adaptive_spin.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <thread>

namespace osthread {
namespace {

// Asked when the library is loaded: what a function makes when it is first called stays locked in a fork's
// child, if a thread of the parent's was making it.
const std::size_t cpus_at_load = [] {
  // The main thread's, as this one may be pinned. The raw call: the kernel says how much it wrote, and a
  // machine may have more CPUs than a cpu_set_t.
  std::array<unsigned long, 8192 / (CHAR_BIT * sizeof(unsigned long))> cpus{};
  if (::syscall(SYS_sched_getaffinity, ::getpid(), sizeof cpus, cpus.data()) <= 0)
    return std::size_t{std::thread::hardware_concurrency()};
  std::size_t count = 0;
  for (const unsigned long word : cpus) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}();

}  // namespace

std::size_t usable_cpus() noexcept { return std::max<std::size_t>(cpus_at_load, 1); }

}  // namespace osthread
