#include "spare_blocks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <new>

namespace osthread::spare_blocks {
namespace {

constexpr std::size_t kStep = 256;      // the sizes are its multiples
constexpr std::size_t kSizes = 20;      // a larger one costs more to copy than to allocate
constexpr std::size_t kSmallest = 128;  // a smaller one the allocator keeps for each thread itself
constexpr std::size_t kKept = 512 * 1024;
constexpr std::size_t kMostSlots = 512;
constexpr std::size_t kCacheLine = 64;

class Shelf {
 public:
  void* take(std::size_t slots) noexcept {
    // Acquire and release: who frees a block has done with it before another writes to it.
    return slots_[next(take_, slots)].exchange(nullptr, std::memory_order_acquire);
  }
  bool put(void* block, std::size_t slots) noexcept {
    void* empty = nullptr;
    return slots_[next(put_, slots)].compare_exchange_strong(empty, block, std::memory_order_release,
                                                             std::memory_order_relaxed);
  }

 private:
  static std::size_t next(std::atomic<std::size_t>& index, std::size_t slots) noexcept {
    const std::size_t now = index.load(std::memory_order_relaxed);
    index.store(now + 1, std::memory_order_relaxed);
    return now % slots;
  }

  alignas(kCacheLine) std::atomic<std::size_t> take_{0};
  alignas(kCacheLine) std::atomic<std::size_t> put_{0};
  alignas(kCacheLine) std::array<std::atomic<void*>, kMostSlots> slots_{};
};

constinit std::array<Shelf, kSizes> shelves;

constexpr bool has_shelf(std::size_t bytes) noexcept { return bytes > kSmallest && bytes <= kSizes * kStep; }
constexpr std::size_t shelf_of(std::size_t bytes) noexcept { return (bytes - 1) / kStep; }
constexpr std::size_t size_of(std::size_t shelf) noexcept { return (shelf + 1) * kStep; }
constexpr std::size_t slots_of(std::size_t shelf) noexcept {
  return std::min(kMostSlots, kKept / size_of(shelf));
}

}  // namespace

void* allocate(std::size_t bytes) {
  if (!has_shelf(bytes)) return ::operator new(bytes);
  const std::size_t shelf = shelf_of(bytes);
  if (void* block = shelves[shelf].take(slots_of(shelf))) return block;
  return ::operator new(size_of(shelf));
}

void deallocate(void* block, std::size_t bytes) noexcept {
  if (has_shelf(bytes) && shelves[shelf_of(bytes)].put(block, slots_of(shelf_of(bytes)))) return;
  ::operator delete(block);
}

void give_back() noexcept {
  for (std::size_t shelf = 0; shelf < kSizes; ++shelf)
    for (std::size_t i = slots_of(shelf); i > 0; --i) ::operator delete(shelves[shelf].take(slots_of(shelf)));
}

}  // namespace osthread::spare_blocks
