#include "adaptive_spin.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <climits>

namespace osthread {
namespace {

// Asked when the library is loaded: what a function makes when it is first called stays locked in a fork's
// child, if a thread of the parent's was making it.
const bool several_cpus = [] {
  // The main thread's, as this one may be pinned. The raw call: the kernel says how much it wrote, and a
  // machine may have more CPUs than a cpu_set_t.
  std::array<unsigned long, 8192 / (CHAR_BIT * sizeof(unsigned long))> cpus{};
  if (::syscall(SYS_sched_getaffinity, ::getpid(), sizeof cpus, cpus.data()) <= 0) return true;
  int count = 0;
  for (const unsigned long word : cpus) count += std::popcount(word);
  return count > 1;
}();

}  // namespace

bool has_several_cpus() noexcept { return several_cpus; }

}  // namespace osthread
