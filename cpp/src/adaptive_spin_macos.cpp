#include "adaptive_spin.hpp"

#include <sys/sysctl.h>

namespace osthread {
namespace {

// Asked when the library is loaded: what a function makes when it is first called stays locked in a fork's
// child, if a thread of the parent's was making it.
const bool several_cpus = [] {
  int count = 0;
  std::size_t size = sizeof count;
  return ::sysctlbyname("hw.activecpu", &count, &size, nullptr, 0) != 0 || count > 1;
}();

}  // namespace

bool has_several_cpus() noexcept { return several_cpus; }

}  // namespace osthread
