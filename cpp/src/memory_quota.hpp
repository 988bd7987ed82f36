// A MemoryQuota stands between a lua_State and LuaJIT's own allocator: it counts, holds the limit, and knows
// the large blocks, so that all memory of a state can be given back without visiting its objects.
//
// Invariant: every block of kLarge bytes or more carries a Header before it, linked into `large_`; LuaJIT
// tells exact old sizes, so which blocks have one is never in doubt. LuaJIT's allocator maps such blocks one
// by one and forgets them, so destroying its arena alone would leak them. Crossing the threshold is allocate,
// copy, free (its in-place resize keeps a shrunk block mapped on its own). Nothing here allocates for itself,
// and freeing or shrinking never fails.
//
// Thread safety: the state's thread allocates; used(), peak() and limit() may be read from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lua_headers.hpp"
#include "memory_account.hpp"

namespace osthread {

class MemoryQuota {
 public:
  static constexpr std::size_t kFloor =
      64 * 1024;  // the least limit that leaves room for a chunk and its error

  MemoryQuota() = default;
  MemoryQuota(const MemoryQuota&) = delete;
  MemoryQuota& operator=(const MemoryQuota&) = delete;

  // A new state with LuaJIT's own allocator, wrapped; null if there is no memory for it.
  lua_State* new_state();

  // What is in use now counts as the libraries'; `bytes` beyond it are allowed from here on. 0: no limit.
  void set_limit(std::size_t bytes) noexcept;

  // From here on what the state gives away counts towards the limit; to be called after set_limit(). It
  // counts in `outer`, too: where the state that has started this one's thread keeps count, or null.
  void count_given_away(std::shared_ptr<MemoryAccount> outer);
  const std::shared_ptr<MemoryAccount>& given_away() const noexcept { return given_away_; }
  // Whether that is so much that garbage which holds some of it is worth a collection.
  bool has_given_much() const noexcept { return given_away_ && given_away_->held() > limit_ / 2; }
  // For `bytes` that the state gives away, on its thread; LuaMemoryError if that is beyond the limit.
  MemoryCharge charge(std::size_t bytes);

  // Between the two a collection has room: a little more may be in use, by finalizers, too.
  void lift() noexcept;
  void restore() noexcept;

  std::size_t used() const noexcept;  // bytes beyond the libraries
  std::size_t peak() const noexcept;
  std::size_t limit() const noexcept { return limit_; }
  // Whether an allocation has failed since the last reset: for the limit, or since the system had no more.
  bool exceeded() const noexcept { return exceeded_; }
  void reset_exceeded() noexcept { exceeded_ = false; }

  // Whether the limit was met since then, or seven eighths of it are in use.
  bool is_short() const noexcept { return exceeded_ || (limit_ != 0 && used() > limit_ - limit_ / 8); }

  // Has `look` called, once, when the state next allocates: on its thread, by whatever part of LuaJIT needs
  // the memory. From any thread, and async-signal-safe.
  void look_soon() noexcept;
  // A whole collection at the next chance, on the state's thread.
  void collect_garbage_soon() noexcept;

  // Whether the allocator is in the middle of something with a large block.
  bool busy() const noexcept { return busy_.load(std::memory_order_relaxed); }
  void set_look(void (*look)(MemoryQuota&)) noexcept { look_ = look; }

  // For tests: the n-th allocation from now on fails as one beyond the limit does, alone or with all that
  // follow; 0: none. fails_in(): what is left of n.
  enum class Failing : bool { one, all };
  void fail_at(std::size_t n, Failing which = Failing::one) noexcept;
  std::size_t fails_in() const noexcept { return fails_in_; }
  // The same for the next state that this thread makes, from when LuaJIT has made it.
  static void fail_next_state_at(std::size_t n, Failing which = Failing::one) noexcept;

  // Frees the large blocks; with the arena's end everything of the state is then gone.
  void free_large_blocks() noexcept;
  void* arena() const noexcept { return arena_; }

 private:
  static constexpr std::size_t kLarge = 64 * 1024;
  static constexpr std::size_t kLeastReserve = 4 * 1024;
  static constexpr std::size_t kMostReserve = 64 * 1024;
  struct Header {  // a multiple of 8 bytes, as LuaJIT's allocator aligns to 8
    Header* previous;
    Header* next;
    std::size_t size;
  };

  static void* allocate(void* self, void* block, std::size_t old_size, std::size_t new_size);
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size) noexcept;
  void* raw_allocate(std::size_t size) noexcept;
  void* raw_resize(void* block, std::size_t old_size, std::size_t new_size) noexcept;
  void raw_free(void* block, std::size_t size) noexcept;
  bool fails_now() noexcept;
  std::size_t ceiling() const noexcept;
  std::size_t half_of(std::size_t ceiling) const noexcept;
  void hurry_collector(std::size_t used, std::size_t ceiling) noexcept;
  void collect_soon() noexcept;
  void meet_limit(std::size_t used) noexcept;
  void link(Header* header, std::size_t size) noexcept;
  void unlink(Header* header) noexcept;

  lua_Alloc original_ = nullptr;
  void* arena_ = nullptr;
  Header* large_ = nullptr;
  // One writer, the state's thread: plain loads and stores, atomic only so that statistics() may look.
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> peak_{0};
  std::size_t base_ = 0;
  std::size_t limit_ = 0;
  std::size_t ceiling_ = SIZE_MAX;             // base_ + limit_; what was given away lowers it
  std::shared_ptr<MemoryAccount> given_away_;  // null: it does not count
  // Garbage must not meet the limit: a whole collection is due when half of it is in use, and then whenever
  // half of what that left free is.
  std::size_t half_ = SIZE_MAX;
  std::size_t due_ = SIZE_MAX;
  // What the limit is met before, so that whoever catches the error can let go of what filled the state,
  // though LuaJIT does not collect when an allocation fails: open from then until twice as much is free.
  std::size_t reserve_ = 0;
  bool reserve_is_open_ = false;
  // Up to here there is nothing to see to: no new peak, no collection due, nobody who wants look_ called.
  std::atomic<std::size_t> mark_{0};
  std::atomic<bool> looking_{false};
  std::atomic<bool> busy_{false};
  void (*look_)(MemoryQuota&) = nullptr;
  bool collecting_ = false;  // asked for, and not done yet
  unsigned pace_ = 0;        // what the collector goes back to
  lua_State* state_ = nullptr;
  bool exceeded_ = false;
  Failing failing_ = Failing::one;
  std::size_t fails_in_ = 0;
};

}  // namespace osthread
