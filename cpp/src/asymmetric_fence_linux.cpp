#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "asymmetric_fence.hpp"

namespace osthread {
namespace {

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

const bool kHeavyFenceReachesAll = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;

void heavy_fence() noexcept {
  if (!kHeavyFenceReachesAll) {
    light_fence();
    return;
  }
  const int saved_errno = errno;
  // A kernel may not hand a registration on to a fork's child.
  if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  }
  errno = saved_errno;
}

}  // namespace osthread
