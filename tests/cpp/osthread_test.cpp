#include "osthread/osthread.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>

using namespace osthread;
using namespace std::chrono_literals;

namespace {

// A function of the host that tells when the chunk has come to it.
struct Signal {
  std::promise<void> promise;
  std::future<void> future = promise.get_future();
  Value value() {
    return function([this] { promise.set_value(); });
  }
};

template <class E>
void check_raises(const OSThread& thread) {
  CHECK_THROWS_AS((void)thread.result(), E);
}

}  // namespace

TEST_CASE("a chunk gets its arguments and gives its results") {
  OSThread thread("return ... * 2, 'x', nil, true", {21});
  REQUIRE(thread.result().size() == 4);
  CHECK(thread.result()[0].as<double>() == 42);
  CHECK(thread.result()[1].as<std::string>() == "x");
  CHECK(thread.result()[2].is_nil());
  CHECK(thread.result()[3].as<bool>());
  CHECK(thread.status() == Status::finished);
}

TEST_CASE("one function expression is called") {
  OSThread thread(" -- adds\n function(a, b) return a + b end", {1, 2});
  CHECK(thread.result().at(0).as<int>() == 3);
}

TEST_CASE("a syntax error comes out of the constructor, with its line") {
  try {
    OSThread thread("x = 1\ny = = 2");
    FAIL("it compiled");
  } catch (const LuaSyntaxError& error) {
    CHECK(error.line() == 2);
  }
}

TEST_CASE("an error has message, value and frames") {
  OSThread thread("local function f() error({code = 7}) end\nf()", {},
                  {.name = "failing", .chunk_name = "=job"});
  try {
    (void)thread.result();
    FAIL("no error");
  } catch (const LuaError& error) {
    CHECK(error.value()->get("code").as<int>() == 7);
    CHECK(error.thread() == "failing");
    REQUIRE(!error.frames().empty());
    CHECK(error.traceback().find("job:1:") != std::string::npos);
  }
  CHECK(thread.status() == Status::failed);
}

TEST_CASE("a table comes back whole: shared references and cycles") {
  OSThread thread("local t = {1, 2, x = {}} t.y = t.x t.self = t return t");
  const Value table = thread.result().at(0);
  CHECK(table.elements().size() == 2);
  CHECK(&table.get("x").table() == &table.get("y").table());
  CHECK(&table.get("self").table() == &table.table());
}

TEST_CASE("a function crosses with its upvalues") {
  OSThread maker("local n = 5 local floor = math.floor return function(x) n = n + 1 return floor(x) + n end");
  const Value add = maker.result().at(0);
  OSThread user(add, {1.5});
  CHECK(user.result().at(0).as<int>() == 7);
}

TEST_CASE("Lua calls C++, and C++ errors come back as themselves") {
  OSThread adds("return ...", {});
  OSThread thread("local f = ... return f(2, 3)", {function([](int a, int b) { return a * b; })});
  CHECK(thread.result().at(0).as<int>() == 6);
  OSThread failing("local f = ... f()", {function([]() { throw std::out_of_range("far"); })});
  check_raises<std::out_of_range>(failing);
  OSThread caught("local f = ... return pcall(f)", {function([]() { throw std::out_of_range("far"); })});
  CHECK_FALSE(caught.result().at(0).as<bool>());
}

TEST_CASE("interrupt ends every kind of loop [compiled loop]") {
  for (const char* body :
       {"while true do end", "for i = 1, math.huge do end", "while true do pcall(error) end",
        "coroutine.wrap(function() while true do end end)()", "debug.sethook() while true do end",
        "xpcall(error, function() while true do end end)", "repeat until false",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end"}) {
    CAPTURE(body);
    Signal started;
    OSThread thread(std::string("(...)() ") + body, {started.value()}, {.grace = 10ms});
    started.future.wait();
    CHECK(thread.interrupt());
    CHECK(thread.join_for(30s));
    CHECK_FALSE(thread.is_alive());
  }
}

TEST_CASE("interrupt wakes a sleeper, and code that catches it has time to clean up") {
  Signal started;
  OSThread thread(
      "local osthread, started = require 'osthread', ...\n"
      "local ok, e = pcall(function() started() osthread.sleep(1e9) end)\n"
      "osthread.sleep(0.001)\n"
      "return ok, osthread.is_stopped(e)",
      {started.value()}, {.grace = 10s});
  started.future.wait();
  thread.interrupt();
  CHECK_FALSE(thread.result().at(0).as<bool>());
  CHECK(thread.result().at(1).as<bool>());
}

TEST_CASE("request_stop ends a wait, and lets working code go on") {
  OSThread sleeper("require('osthread').sleep(1e9)");
  sleeper.request_stop();
  check_raises<Stopped>(sleeper);
  CHECK(sleeper.status() == Status::stopped);
  OSThread poller("local o = require 'osthread' while not o.stop_requested() do end return 'clean'");
  poller.request_stop();
  CHECK(poller.result().at(0).as<std::string>() == "clean");
}

TEST_CASE("time_limit and memory_limit end a chunk with errors of their own [compiled loop]") {
  OSThread slow("while true do end", {}, {.grace = 1ms, .time_limit = 20ms});
  check_raises<LuaTimeout>(slow);
  CHECK(slow.status() == Status::failed);
  OSThread fat("local t = {} for i = 1, 1e9 do t[i] = {i} end", {}, {.memory_limit = 4 << 20});
  check_raises<LuaMemoryError>(fat);
  OSThread string_bomb("local s = 'x' while true do s = s .. s end", {}, {.memory_limit = 4 << 20});
  check_raises<LuaMemoryError>(string_bomb);
}

TEST_CASE("os.exit ends the chunk, and nothing else") {
  OSThread thread("pcall(os.exit, 3) return 'not reached'");
  CHECK(thread.result().at(0).as<int>() == 3);
}

TEST_CASE("a suspended thread waits for start") {
  OSThread thread("return 1", {}, {.suspended = true});
  CHECK(thread.status() == Status::suspended);
  CHECK(thread.native_id() != 0);
  thread.start();
  CHECK(thread.result().at(0).as<int>() == 1);
  CHECK_THROWS_AS(thread.start(), std::logic_error);
}

TEST_CASE(
    "RunLuaThread runs a chunk anywhere, and nested in Lua it is stopped with the outer run [compiled "
    "loop]") {
  char good[] = "return 1 + 1";
  char bad[] = "error 'x'";
  CHECK(RunLuaThread(good) == 0);
  CHECK(RunLuaThread(bad) == 2);
  Signal started;
  OSThread thread(
      "(...)() local ffi = require 'ffi' ffi.cdef 'int RunLuaThread(void *code);' "
      "local code = 'while true do end' return ffi.C.RunLuaThread(ffi.cast('void *', code))",
      {started.value()}, {.grace = 10ms});
  started.future.wait();
  thread.interrupt();
  CHECK(thread.join_for(30s));
}

TEST_CASE("LuaState keeps its globals and survives its limits [compiled loop]") {
  LuaState state({.grace = 1ms, .time_limit = 50ms});
  state.execute("n = 1 function bump(k) n = n + k return n end");
  CHECK(state.call("bump", {4}).at(0).as<int>() == 5);
  CHECK(state.eval("n * 2").at(0).as<int>() == 10);
  CHECK_THROWS_AS(state.execute("while true do end"), LuaTimeout);
  CHECK(state.get("n").as<int>() == 5);
  state.set("n", "text");
  CHECK(state.eval("n").at(0).as<std::string>() == "text");
  state.close();
  CHECK_THROWS_AS(state.eval("1"), std::logic_error);
}

TEST_CASE("finalizers have run when the result is there") {
  bool ran = false;
  OSThread thread("local f = ... local u = newproxy(true) getmetatable(u).__gc = function() f() end",
                  {function([&ran] { ran = true; })});
  thread.join();
  CHECK(ran);
}

TEST_CASE("stack says where a running thread is [compiled loop]") {
  Signal started;
  OSThread thread("(...)()\nlocal function spin()\n while true do end\nend\nspin()", {started.value()},
                  {.chunk_name = "=where"});
  started.future.wait();
  const std::vector<Frame> frames = thread.stack();
  REQUIRE(!frames.empty());
  CHECK(frames[0].source == "where");
  CHECK(frames[0].line >= 2);
  thread.interrupt();
  thread.join();
}

TEST_CASE("statistics tell the CPU time of a thread while it runs [compiled loop]") {
  OSThread thread("while true do end");
  const Clock::time_point too_late = Clock::now() + 60s;
  while (thread.statistics().cpu_seconds < 0.05 && Clock::now() < too_late) std::this_thread::sleep_for(1ms);
  CHECK(thread.statistics().cpu_seconds >= 0.05);
  thread.interrupt();
  thread.join();
  CHECK(thread.statistics().cpu_seconds >= 0.05);
}
