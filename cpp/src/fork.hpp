// fork(): the child has none of its parent's threads, and whatever lock one of them held stays locked there.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace osthread {

// How many forks lie between the first process and this one. What was made in another generation is not used:
// objects say so, and the library's own threads and caches start anew.
std::uint32_t fork_generation() noexcept;

// The T of this process: made when first asked for, and again in a fork's child, as locks of threads that are
// gone would stay locked. Never destroyed, as threads may outlive main(). In place of a static variable of a
// function, whose making is such a lock: threads that race here each make one, and one of them is kept.
template <class T>
T& per_process() {
  struct Made {
    std::uint32_t generation;
    T object;
  };
  static constinit std::atomic<Made*> current{nullptr};
  const std::uint32_t generation = fork_generation();
  // Acquire and release: whoever finds the object finds it made.
  Made* made = current.load(std::memory_order_acquire);
  while (!made || made->generation != generation) {
    auto fresh = std::make_unique<Made>();
    fresh->generation = generation;
    if (current.compare_exchange_strong(made, fresh.get(), std::memory_order_acq_rel))
      return fresh.release()->object;
  }
  return made->object;
}

}  // namespace osthread
