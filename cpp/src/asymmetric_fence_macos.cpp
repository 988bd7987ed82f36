#include "asymmetric_fence.hpp"

namespace osthread {

const bool kHeavyFenceReachesAll = false;

void heavy_fence() noexcept { light_fence(); }

}  // namespace osthread
