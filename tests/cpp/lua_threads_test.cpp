// Threads that Lua code or a native routine begins. What Python sees of them is in
// tests/python/test_lua_threads.py.
#include "osthread/osthread.hpp"
#include "registry.hpp"
#include "support.hpp"
#include "thread_core.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

std::atomic<int> calls{0};

int count_and_tell(void* parameter) {
  ++calls;
  *static_cast<int*>(parameter) = 7;
  return 42;
}

int wait_for_event(void* event) {
  static_cast<test::Event*>(event)->wait();
  return 0;
}

int count_alive() {
  int alive = 0;
  for (const auto& core : registry::alive()) alive += !core->ended();
  return alive;
}

void wait_until_none_is_alive() {
  const Clock::time_point last = Clock::now() + kPatience;
  while (count_alive() > 0 && Clock::now() < last) std::this_thread::yield();
  CHECK(count_alive() == 0);
}

}  // namespace

TEST_CASE("a native routine's status is the result of its thread") {
  int told = 0;
  OSThread thread(count_and_tell, &told);
  CHECK(thread.result().at(0).as<int>() == 42);
  CHECK(told == 7);
  CHECK(thread.status() == Status::finished);
  CHECK(thread.stack().empty());
}

TEST_CASE("a suspended native routine runs when it is started, or never") {
  const int before = calls;
  int told = 0;
  {
    OSThread thread(count_and_tell, &told, Flags::suspended);
    CHECK(thread.status() == Status::suspended);
    OSThread never(count_and_tell, &told, Flags::suspended);
    thread.start();
    thread.join();
  }
  CHECK(calls == before + 1);
}

TEST_CASE("a native routine ends by itself alone") {
  test::Event event;
  OSThread thread(wait_for_event, &event);
  CHECK_THROWS_AS(thread.interrupt(), std::logic_error);
  CHECK_THROWS_AS(thread.kill(), std::logic_error);
  CHECK_THROWS_AS(thread.pause(), std::logic_error);
  CHECK_FALSE(thread.join_for(1ms));
  CHECK(thread.statistics().memory == 0);
  event.happen();
  thread.join();
}

TEST_CASE("RunLuaThread as a start routine is a thread like any other [compiled loop]") {
  std::string code = "return ({...})[1], 6 * 7";
  OSThread thread(RunLuaThread, code.data(), Flags::suspended);
  code.assign(code.size(), '!');
  thread.start();
  CHECK(thread.result().at(1).as<int>() == 42);
  char loop[] = "while true do end";
  OSThread endless(RunLuaThread, loop);
  CHECK(endless.interrupt());
  CHECK_THROWS_AS((void)endless.result(), Stopped);
  CHECK_THROWS_AS(OSThread(nullptr, nullptr), std::invalid_argument);
}

TEST_CASE("threads that Lua code has started end with its state [compiled loop]") {
  const char* code = R"(
    local begun = ...
    local osthread = require "osthread"
    child = osthread.OSThread("local begun = ... begun() while true do end", begun)
    while true do end)";
  for (const bool killed : {false, true}) {
    if (killed && !features().kill) continue;
    Signal begun;
    OSThread parent(code, {begun.value()});
    begun.wait();
    if (killed)
      parent.kill();
    else
      parent.interrupt();
    parent.join();
    CHECK(count_alive() == 0);
  }
}

TEST_CASE("a LuaState's threads end when it goes [compiled loop]") {
  {
    LuaState state;
    state.execute("t = require('osthread').OSThread('while true do end')");
    CHECK(count_alive() == 1);
  }
  wait_until_none_is_alive();
}

TEST_CASE("a thread handle among the results is an owner") {
  Gate gate;
  Values held;
  {
    OSThread parent("return require('osthread').OSThread('(...)() return 1', ...)", {gate.value()});
    held = parent.result();
  }
  gate.wait_inside();
  CHECK(count_alive() == 1);
  held.clear();  // the last handle: it is terminated
  gate.open();
  wait_until_none_is_alive();
}

TEST_CASE("threads that start threads, over and over") {
  const char* code = R"(
    local osthread, code, depth = require "osthread", ...
    if depth == 0 then return 1 end
    local a = osthread.OSThread(code, code, depth - 1)
    local b = osthread.OSThread(code, code, depth - 1)
    return a:result() + b:result())";
  for (int i = 0; i < 5; ++i) CHECK(OSThread(code, {code, 4}).result().at(0).as<int>() == 16);
}
