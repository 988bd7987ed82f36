#include "../../cpp/src/prepared_states.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "../../cpp/src/registry.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

bool runs(Vm& vm, const char* code) {
  lua_State* L = vm.state();
  const bool ok = luaL_loadstring(L, code) == 0 && lua_pcall(L, 0, 0, 0) == 0;
  lua_settop(L, 0);
  return ok;
}

// Takes all that were made ahead.
void drain() {
  for (unsigned i = 0; i <= 2 * std::max(1u, std::thread::hardware_concurrency()); ++i)
    (void)prepared_states::take();
}

class EnvironmentGuard {
 public:
  explicit EnvironmentGuard(const char* name) : name_(name) {
    if (const char* value = std::getenv(name)) before_ = value;
  }
  ~EnvironmentGuard() {
    if (before_)
      setenv(name_, before_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a prepared state is as a fresh one") {
  drain();
  prepared_states::leave_one();
  const auto prepared = prepared_states::take();
  const auto fresh = prepared_states::take();
  for (Vm* vm : {prepared.get(), fresh.get()})
    CHECK(runs(*vm, "assert(string and ffi == nil and require 'ffi' and jit.status() and not next({}))"));
  CHECK(prepared->state() != fresh->state());
}

TEST_CASE("no two states roll the same dice") {
  drain();
  prepared_states::leave_one();
  prepared_states::leave_one();
  std::vector<double> rolls;
  for (int i = 0; i < 4; ++i) {
    LuaState state;
    rolls.push_back(state.eval("math.random()").at(0).as<double>());
  }
  for (std::size_t i = 0; i < rolls.size(); ++i)
    for (std::size_t k = i + 1; k < rolls.size(); ++k) CHECK(rolls[i] != rolls[k]);
}

TEST_CASE("states made under another LUA_PATH are not handed out") {
  REQUIRE(registry::wait_until_quiet(Clock::now() + kPatience));
  const EnvironmentGuard guard("LUA_PATH");
  drain();
  prepared_states::leave_one();
  setenv("LUA_PATH", "/nowhere/?.lua", 1);
  CHECK(lua("return package.path").at(0).as<std::string>() == "/nowhere/?.lua");
  prepared_states::leave_one();
  unsetenv("LUA_PATH");
  CHECK(lua("return package.path").at(0).as<std::string>() != "/nowhere/?.lua");
}

TEST_CASE("a limit applies to a prepared state as to any, from the moment it is handed out") {
  drain();
  prepared_states::leave_one();
  CHECK_THROWS_AS(lua("t = {} for i = 1, 1e9 do t[i] = {} end", {}, {.memory_limit = 128 * 1024}),
                  LuaMemoryError);
  prepared_states::leave_one();
  LuaState state({.memory_limit = 128 * 1024});
  CHECK(state.statistics().memory < 16 * 1024);
}

TEST_CASE("what a chunk leaves behind never meets another chunk") {
  for (int i = 0; i < 20; ++i) {
    OSThread dirty(
        "string.format = nil G = 1 package.loaded.string = 5 debug.getregistry()[99] = 1 return G");
    dirty.join();
    OSThread clean("return string.format('%d', 7), G, package.loaded.string == string");
    CHECK(clean.result().at(0).as<std::string>() == "7");
    CHECK(clean.result().at(1).is_nil());
    CHECK(clean.result().at(2).as<bool>());
  }
}

TEST_CASE("taking and leaving on several threads at once") {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([i] {
      for (int k = 0; k < 20; ++k) {
        prepared_states::leave_one();
        if (i == 0) drain();
        const auto state = prepared_states::take();
        if (!state->state()) std::abort();
      }
    });
  for (std::thread& thread : threads) thread.join();
}
