#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include "asymmetric_fence.hpp"

namespace osthread {

const bool kHeavyFenceReachesAll = true;

void heavy_fence() noexcept { ::FlushProcessWriteBuffers(); }

}  // namespace osthread
