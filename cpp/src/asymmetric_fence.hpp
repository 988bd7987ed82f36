// Two fences that order a store before a load, as two sequentially consistent ones do, but one of them costs
// next to nothing: the heavy one makes all running threads of the process pass a full barrier. For "I change
// something, then look whether anybody waits" on a fast path, against "I say that I wait, then look" on a
// slow one. (Linux: membarrier(2); Windows: FlushProcessWriteBuffers(); elsewhere both are full.)
#pragma once

#include <atomic>

namespace osthread {

// Whether the light one may be light: told once, when the library is loaded.
extern const bool kHeavyFenceReachesAll;

inline void light_fence() noexcept {
  if (kHeavyFenceReachesAll) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // only the compiler has to keep the order
    return;
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"  // what a fence orders here is no access that TSan could complain of
  std::atomic_thread_fence(std::memory_order_seq_cst);
#pragma GCC diagnostic pop
}

void heavy_fence() noexcept;

}  // namespace osthread
