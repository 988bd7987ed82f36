#include "memory_quota.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "osthread/error.hpp"
#include "state_end.h"

namespace osthread {

namespace {

// For a LuaJIT of the system, whose arena we could not give back.
void* plain_allocate(void*, void* block, std::size_t, std::size_t new_size) {
  if (new_size != 0) return std::realloc(block, new_size);
  std::free(block);
  return nullptr;
}

struct NextState {
  std::size_t fails_at = 0;
  MemoryQuota::Failing failing = MemoryQuota::Failing::one;
};
static_assert(std::is_trivially_destructible_v<NextState>);
constinit thread_local NextState next_state;

}  // namespace

lua_State* MemoryQuota::new_state() {
  if (!osthread_has_arena()) {
    original_ = plain_allocate;
    return lua_newstate(&MemoryQuota::allocate, this);
  }
  lua_State* L = luaL_newstate();
  if (!L) return nullptr;
  original_ = lua_getallocf(L, &arena_);
  used_.store(static_cast<std::size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024 +
                  static_cast<std::size_t>(lua_gc(L, LUA_GCCOUNTB, 0)),
              std::memory_order_relaxed);
  // It stays to the end: with the original put back before, the limit would not hold for finalizers, and
  // large blocks would be freed without their headers.
  lua_setallocf(L, &MemoryQuota::allocate, this);
  state_ = L;
  const NextState next = std::exchange(next_state, {});
  if (next.fails_at != 0) fail_at(next.fails_at, next.failing);
  return L;
}

void MemoryQuota::set_limit(std::size_t bytes) noexcept {
  base_ = used_.load(std::memory_order_relaxed);
  peak_.store(base_, std::memory_order_relaxed);
  limit_ = bytes;
  reserve_ = std::clamp(bytes / 32, kLeastReserve, kMostReserve);
  restore();
}

void MemoryQuota::count_given_away(std::shared_ptr<MemoryAccount> outer) {
  if (ceiling_ != SIZE_MAX) given_away_ = std::make_shared<MemoryAccount>(limit_, std::move(outer));
}

MemoryCharge MemoryQuota::charge(std::size_t bytes) {
  if (!given_away_) return {};
  const std::size_t ceiling = this->ceiling();
  const std::size_t used = used_.load(std::memory_order_relaxed);
  const bool fits = used <= ceiling && bytes <= ceiling - used;
  if (!fits) meet_limit(used);
  if (!fits || !given_away_->fits_outside(bytes))
    throw LuaMemoryError(
        {.message = "not enough memory: what was sent and nobody has taken counts towards the limit, and so "
                    "does what there are of threads",
         .frames = {},
         .value = nullptr,
         .thread = {}});
  mark_.store(0, std::memory_order_relaxed);  // as the ceiling sinks
  return MemoryCharge(given_away_, bytes);
}

std::size_t MemoryQuota::ceiling() const noexcept {
  if (half_ == SIZE_MAX) return ceiling_;  // lifted: what finalizers need is theirs
  const std::size_t kept = (given_away_ ? given_away_->held() : 0) + (reserve_is_open_ ? 0 : reserve_);
  return ceiling_ - std::min(kept, ceiling_ - base_);
}

std::size_t MemoryQuota::half_of(std::size_t ceiling) const noexcept {
  return half_ == SIZE_MAX ? SIZE_MAX : base_ + (ceiling - base_) / 2;
}

void MemoryQuota::lift() noexcept {
  if (ceiling_ == SIZE_MAX) return;
  half_ = SIZE_MAX;
  mark_.store(0, std::memory_order_relaxed);
  const std::size_t now = std::max(used_.load(std::memory_order_relaxed), ceiling_);
  ceiling_ = now > SIZE_MAX - kFloor ? SIZE_MAX : now + kFloor;
}

void MemoryQuota::restore() noexcept {
  ceiling_ = limit_ == 0 || limit_ > SIZE_MAX - base_ ? SIZE_MAX : base_ + limit_;
  half_ = due_ = ceiling_ == SIZE_MAX ? SIZE_MAX : base_ + limit_ / 2;
  mark_.store(0, std::memory_order_relaxed);
}

void MemoryQuota::hurry_collector(std::size_t used, std::size_t ceiling) noexcept {
  const std::size_t half = half_of(ceiling);
  const std::size_t half_of_the_rest = used + (ceiling - std::min(used, ceiling)) / 2;
  if (collecting_) {
    collecting_ = !osthread_end_collection(state_, pace_);
    if (!collecting_) due_ = std::max(half, half_of_the_rest);
    return;
  }
  due_ = std::max(half, std::min(due_, half_of_the_rest));  // what was freed meanwhile lowers it
  if (used > due_) collect_soon();
}

void MemoryQuota::collect_soon() noexcept {
  if (!collecting_) collecting_ = osthread_begin_collection(state_, &pace_);
}

void MemoryQuota::collect_garbage_soon() noexcept {
  collect_soon();
  mark_.store(0, std::memory_order_relaxed);  // until it is over
}

void MemoryQuota::meet_limit(std::size_t used) noexcept {
  exceeded_ = true;
  if (used <= half_of(ceiling())) return;  // it was one wish that was too large
  reserve_is_open_ = true;
  collect_soon();
  mark_.store(0, std::memory_order_relaxed);
}

std::size_t MemoryQuota::used() const noexcept {
  const std::size_t used = used_.load(std::memory_order_relaxed);
  return used > base_ ? used - base_ : 0;
}

std::size_t MemoryQuota::peak() const noexcept {
  const std::size_t peak =
      std::max(peak_.load(std::memory_order_relaxed), used_.load(std::memory_order_relaxed));
  return peak > base_ ? peak - base_ : 0;
}

void* MemoryQuota::allocate(void* self, void* block, std::size_t old_size, std::size_t new_size) {
  auto* quota = static_cast<MemoryQuota*>(self);
  const std::size_t used = quota->used_.load(std::memory_order_relaxed) - old_size + new_size;
  if (used > quota->mark_.load(std::memory_order_relaxed) || old_size >= kLarge || new_size >= kLarge)
      [[unlikely]]
    return quota->reallocate(block, old_size, new_size);
  void* result = quota->original_(quota->arena_, block, old_size, new_size);
  if (result || new_size == 0)
    quota->used_.store(used, std::memory_order_relaxed);
  else
    quota->exceeded_ = true;
  return result;
}

void* MemoryQuota::reallocate(void* block, std::size_t old_size, std::size_t new_size) noexcept {
  const std::size_t used = used_.load(std::memory_order_relaxed) - old_size + new_size;
  std::size_t ceiling = this->ceiling();
  if (reserve_is_open_ && used < ceiling - std::min(2 * reserve_, ceiling)) {
    reserve_is_open_ = false;
    ceiling = this->ceiling();
  }
  if (new_size > old_size && used > ceiling) {
    meet_limit(used_.load(std::memory_order_relaxed));
    return nullptr;
  }
  if (new_size > old_size && fails_now()) {
    exceeded_ = true;
    return nullptr;
  }
  busy_.store(true, std::memory_order_relaxed);
  void* result = nullptr;
  if (new_size == 0) {
    if (block) raw_free(block, old_size);
  } else if (!block) {
    result = raw_allocate(new_size);
  } else {
    result = raw_resize(block, old_size, new_size);
  }
  busy_.store(false, std::memory_order_relaxed);
  if (!result && new_size != 0) {
    exceeded_ = true;
    return nullptr;
  }
  used_.store(used, std::memory_order_relaxed);
  if (used > peak_.load(std::memory_order_relaxed)) peak_.store(used, std::memory_order_relaxed);
  const std::size_t half = half_of(ceiling);
  if (used > half || collecting_)
    hurry_collector(used, ceiling);
  else
    due_ = half;
  mark_.store(collecting_ || reserve_is_open_ || due_ != half || fails_in_ != 0
                  ? 0
                  : std::min(peak_.load(std::memory_order_relaxed), half),
              std::memory_order_relaxed);
  // Last, as it may not return. What is asked for between the store and this is seen the next time.
  if (looking_.load(std::memory_order_relaxed) && look_) {
    looking_.store(false, std::memory_order_relaxed);
    look_(*this);
  }
  return result;
}

void* MemoryQuota::raw_allocate(std::size_t size) noexcept {
  if (size < kLarge) return original_(arena_, nullptr, 0, size);
  auto* header = static_cast<Header*>(original_(arena_, nullptr, 0, size + sizeof(Header)));
  if (!header) return nullptr;
  link(header, size);
  return header + 1;
}

void* MemoryQuota::raw_resize(void* block, std::size_t old_size, std::size_t new_size) noexcept {
  const bool was_large = old_size >= kLarge;
  const bool is_large = new_size >= kLarge;
  if (!was_large && !is_large) return original_(arena_, block, old_size, new_size);
  if (was_large && is_large) {
    Header* header = static_cast<Header*>(block) - 1;
    unlink(header);
    auto* moved =
        static_cast<Header*>(original_(arena_, header, old_size + sizeof(Header), new_size + sizeof(Header)));
    if (!moved) {
      link(header, old_size);
      return nullptr;
    }
    link(moved, new_size);
    return moved + 1;
  }
  void* fresh = raw_allocate(new_size);
  if (!fresh) return nullptr;
  std::memcpy(fresh, block, std::min(old_size, new_size));
  raw_free(block, old_size);
  return fresh;
}

void MemoryQuota::raw_free(void* block, std::size_t size) noexcept {
  if (size < kLarge) {
    original_(arena_, block, size, 0);
    return;
  }
  Header* header = static_cast<Header*>(block) - 1;
  unlink(header);
  original_(arena_, header, size + sizeof(Header), 0);
}

void MemoryQuota::link(Header* header, std::size_t size) noexcept {
  header->previous = nullptr;
  header->next = large_;
  header->size = size;
  if (large_) large_->previous = header;
  large_ = header;
}

void MemoryQuota::unlink(Header* header) noexcept {
  (header->previous ? header->previous->next : large_) = header->next;
  if (header->next) header->next->previous = header->previous;
}

void MemoryQuota::look_soon() noexcept {
  looking_.store(true, std::memory_order_relaxed);
  mark_.store(0, std::memory_order_relaxed);
}

void MemoryQuota::fail_at(std::size_t n, Failing which) noexcept {
  fails_in_ = n;
  failing_ = which;
  mark_.store(0, std::memory_order_relaxed);
}

void MemoryQuota::fail_next_state_at(std::size_t n, Failing which) noexcept { next_state = {n, which}; }

bool MemoryQuota::fails_now() noexcept {
  if (fails_in_ == 0) return false;
  if (fails_in_ > 1) {
    --fails_in_;
    return false;
  }
  if (failing_ == Failing::one) fails_in_ = 0;
  return true;
}

void MemoryQuota::free_large_blocks() noexcept {
  while (large_) {
    Header* header = large_;
    large_ = header->next;
    original_(arena_, header, header->size + sizeof(Header), 0);
  }
}

}  // namespace osthread
