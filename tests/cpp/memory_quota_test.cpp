#include "../../cpp/src/memory_quota.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "../../cpp/src/state_end.h"
#include "../../cpp/src/vm.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

constexpr std::size_t kKiB = 1024;

// A state's allocator as LuaJIT calls it.
struct Allocator {
  explicit Allocator(lua_State* L) { call = lua_getallocf(L, &context); }
  void* operator()(void* block, std::size_t old_size, std::size_t new_size) const {
    return call(context, block, old_size, new_size);
  }
  lua_Alloc call;
  void* context = nullptr;
};

void fill(void* block, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    static_cast<unsigned char*>(block)[i] = static_cast<unsigned char>(i * 31);
}

bool holds(const void* block, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    if (static_cast<const unsigned char*>(block)[i] != static_cast<unsigned char>(i * 31)) return false;
  return true;
}

int run(Vm& vm, const char* code) {
  lua_State* L = vm.state();
  const int status = luaL_loadstring(L, code) != 0 ? LUA_ERRSYNTAX : lua_pcall(L, 0, 0, 0);
  return status;
}

}  // namespace

TEST_CASE("what Lua allocates is counted, and given back when it is collected") {
  Vm vm({});
  vm.set_memory_limit(64 << 20);
  CHECK(vm.quota().limit() == 64 << 20);
  REQUIRE(run(vm, "s = ('x'):rep(1e6)") == 0);
  CHECK(vm.quota().used() >= 1'000'000);
  CHECK(vm.quota().used() < 2'500'000);  // the string, and the buffer it was made in
  REQUIRE(run(vm, "s = nil for i = 1, 4 do collectgarbage() end") == 0);  // each time, half the buffer goes
  CHECK(vm.quota().used() < 200'000);
  CHECK(vm.quota().peak() >= 1'000'000);
}

TEST_CASE("growth beyond the limit fails in Lua, once and again, and the state goes on") {
  Vm vm({});
  lua_State* L = vm.state();
  REQUIRE(luaL_loadstring(L, "t = nil collectgarbage()") ==
          0);  // before: at the limit nothing can be compiled
  vm.set_memory_limit(1 << 20);
  for (int i = 0; i < 3; ++i) {
    CHECK(run(vm, "t = {} for i = 1, 1e9 do t[i] = {i} end") == LUA_ERRMEM);
    CHECK(vm.quota().exceeded());
    CHECK(vm.quota().used() <= 1 << 20);
    vm.quota().reset_exceeded();
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    REQUIRE(lua_pcall(L, 0, 0, 0) == 0);
  }
  CHECK(run(vm, "for i = 1, 100 do local s = ('z'):rep(1e5) .. i end") ==
        0);  // garbage that is never held at once
  CHECK_FALSE(vm.quota().exceeded());
}

TEST_CASE("what is left when the limit is first met is there for whoever catches the error") {
  Vm vm({});
  const Allocator allocate(vm.state());
  constexpr std::size_t kLimit = 256 * kKiB;
  constexpr std::size_t kBlock = kKiB;
  vm.set_memory_limit(kLimit);
  std::vector<void*> blocks;
  const auto take_all = [&] {
    while (void* block = allocate(nullptr, 0, kBlock)) blocks.push_back(block);
    return vm.quota().used();
  };
  const auto give_back = [&](std::size_t count) {
    for (; count != 0; --count) {
      allocate(blocks.back(), kBlock, 0);
      blocks.pop_back();
    }
  };
  const std::size_t first = take_all();
  CHECK(first <= kLimit - 8 * kKiB);
  CHECK(first > kLimit - 9 * kKiB);
  const std::size_t second = take_all();
  CHECK(second <= kLimit);
  CHECK(second > kLimit - kBlock);
  give_back(10);
  CHECK(take_all() == second);  // too little was let go of
  give_back(20);
  CHECK(take_all() == first);
  give_back(blocks.size());
}

TEST_CASE("without a limit nothing fails, and a limit set anew counts from then on") {
  Vm vm({});
  REQUIRE(run(vm, "s = ('x'):rep(4e6) collectgarbage() collectgarbage()") == 0);
  CHECK(vm.quota().limit() == 0);
  vm.set_memory_limit(256 * kKiB);
  CHECK(vm.quota().used() == 0);
  CHECK(run(vm, "u = ('y'):rep(1e5)") == 0);
  CHECK(run(vm, "v = ('y'):rep(1e6)") == LUA_ERRMEM);
}

TEST_CASE("a block keeps its content across the threshold of large blocks, both ways") {
  if (!osthread_has_arena()) return;
  Vm vm({});
  const Allocator allocate(vm.state());
  constexpr std::size_t kThreshold = 64 * kKiB;
  const std::vector<std::size_t> sizes = {1,
                                          16,
                                          256,
                                          kThreshold - 1,
                                          kThreshold,
                                          kThreshold + 1,
                                          3 * kThreshold,
                                          1 << 20,
                                          kThreshold,
                                          kThreshold - 1,
                                          1 << 22,
                                          300};
  void* block = nullptr;
  std::size_t size = 0;
  const std::size_t before = vm.quota().used();
  for (const std::size_t next : sizes) {
    CAPTURE(size);
    CAPTURE(next);
    void* moved = allocate(block, size, next);
    REQUIRE(moved != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(moved) % 8 == 0);
    CHECK(holds(moved, std::min(size, next)));
    fill(moved, next);
    block = moved;
    size = next;
    CHECK(vm.quota().used() - before == size);
  }
  CHECK(allocate(block, size, 0) == nullptr);
  CHECK(vm.quota().used() == before);
}

TEST_CASE("random allocations, large and small, keep their content and their sum") {
  if (!osthread_has_arena()) return;
  Vm vm({});
  const Allocator allocate(vm.state());
  std::mt19937 random(7);
  struct Block {
    void* at = nullptr;
    std::size_t size = 0;
  };
  std::vector<Block> blocks(40);
  const std::size_t before = vm.quota().used();
  for (int i = 0; i < 3000; ++i) {
    Block& block = blocks[random() % blocks.size()];
    const std::size_t size = random() % 3 == 0 ? 0 : random() % (random() % 4 == 0 ? 300'000 : 2'000) + 1;
    if (!block.at && size == 0) continue;
    void* moved = allocate(block.at, block.size, size);
    REQUIRE((moved != nullptr) == (size != 0));
    if (moved && block.at) REQUIRE(holds(moved, std::min(block.size, size)));
    block = {moved, size};
    if (moved) fill(moved, size);
  }
  std::size_t sum = 0;
  for (const Block& block : blocks) sum += block.size;
  CHECK(vm.quota().used() - before == sum);
  for (const Block& block : blocks)
    if (block.at) allocate(block.at, block.size, 0);
  CHECK(vm.quota().used() == before);
}

TEST_CASE("a failed growth leaves the block as it was; shrinking and freeing never fail") {
  if (!osthread_has_arena()) return;
  Vm vm({});
  const Allocator allocate(vm.state());
  for (const std::size_t size : {std::size_t{1000}, 100 * kKiB}) {
    vm.set_memory_limit(256 * kKiB);
    void* block = allocate(nullptr, 0, size);
    REQUIRE(block != nullptr);
    fill(block, size);
    CHECK(allocate(block, size, 1 << 20) == nullptr);
    CHECK(allocate(nullptr, 0, 1 << 20) == nullptr);
    CHECK(holds(block, size));
    vm.quota().set_limit(1);  // nothing may grow any more
    void* smaller = allocate(block, size, size / 2);
    REQUIRE(smaller != nullptr);
    CHECK(holds(smaller, size / 2));
    CHECK(allocate(smaller, size / 2, 0) == nullptr);
    vm.quota().set_limit(0);
  }
}
