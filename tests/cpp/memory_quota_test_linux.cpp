// A state leaves no mapping behind: /proc/self/maps tells.
#include <fstream>
#include <string>

#include "../../cpp/src/registry.hpp"
#include "../../cpp/src/vm.hpp"
#include "support.hpp"

// ThreadSanitizer maps shadow of its own wherever memory is unmapped.
#if defined(__SANITIZE_THREAD__)
#define OSTHREAD_MAPS_TEST doctest::skip(true)
#else
#define OSTHREAD_MAPS_TEST doctest::skip(false)
#endif

using namespace osthread;

namespace {

int mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

void run_and_discard(const char* code) {
  Vm vm({});
  lua_State* L = vm.state();
  REQUIRE(luaL_loadstring(L, code) == 0);
  REQUIRE(lua_pcall(L, 0, 0, 0) == 0);
}

}  // namespace

TEST_CASE("200 discarded states leave no mapping behind, whatever became of their large blocks" *
          OSTHREAD_MAPS_TEST) {
  for (const char* code : {
           "s = ('x'):rep(1e6)",                            // alive at the end
           "for i = 1, 20 do s = ('x'):rep(1e6) .. i end",  // the string buffer has grown
           "local s = ('x'):rep(2^20) .. 'y' s = nil for i = 1, 20 do collectgarbage() end",  // and shrunk
           "t = {} for i = 1, 2^17 do t[i] = i end for i = 1, 2^17 do t[i] = nil end t.x = 1 "
           "for i = 1, 64 do t[i] = i end collectgarbage()",  // a table's array has shrunk
           "t = {} for i = 1, 2^15 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end t.x = 1",
           "local f for i = 1, 300 do f = loadstring('local x = ' .. i .. ' for i = 1, 100 do x = x + i end "
           "return x') "
           "f() end",  // machine code
           "coroutine.wrap(function() local function f(n) if n > 0 then return 1 + f(n - 1) end return 0 end "
           "f(1e4) end)()",
       }) {
    CAPTURE(code);
    for (int i = 0; i < 5; ++i) run_and_discard(code);  // what malloc and LuaJIT keep for good
    const int before = mappings();
    for (int i = 0; i < 200; ++i) run_and_discard(code);
    CHECK(mappings() - before < 20);  // a leak of one mapping for each state would be 200
  }
}

TEST_CASE("an OSThread that breaks its memory limit leaves no mapping behind" * OSTHREAD_MAPS_TEST) {
  const auto run = [] {
    OSThread thread("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e5) .. i end", {},
                    {.memory_limit = 4 << 20});
    CHECK_THROWS_AS((void)thread.result(), LuaMemoryError);
  };
  const auto run_often = [&run](int times) {
    for (int i = 0; i < times; ++i) run();
    REQUIRE(registry::wait_until_quiet(Clock::now() +
                                       test::kPatience));  // a result is there before its thread is gone
  };
  run_often(20);
  const int before = mappings();
  run_often(100);
  CHECK(mappings() - before < 30);  // a leak of one mapping for each thread would be 100
}
