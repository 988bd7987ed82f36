#include "osthread/lua_state.hpp"

#include <thread>

#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

TEST_CASE("globals stay from call to call, and are copies outside") {
  LuaState state;
  state.set("t", Value::map({{"n", 1}}));
  const Value copy = state.get("t");
  state.execute("t.n = 2");
  CHECK(copy.get("n").as<int>() == 1);
  CHECK(state.get("t").get("n").as<int>() == 2);
  CHECK(state.get("absent").is_nil());
  state.set("t", nullptr);
  CHECK(state.get("t").is_nil());
}

TEST_CASE("call finds functions by dotted names") {
  LuaState state;
  state.execute("a = {b = {c = function(x) return x + 1 end}}");
  CHECK(state.call("a.b.c", {1}).at(0).as<int>() == 2);
  CHECK(state.call("math.floor", {1.5}).at(0).as<int>() == 1);
  for (const char* name : {"a.b", "a.b.d", "a.x.c", "nothing", "", ".", "a."}) {
    CAPTURE(name);
    CHECK_THROWS_AS(state.call(name), LuaError);
  }
}

TEST_CASE("errors leave the state usable, with a clean stack") {
  LuaState state({.memory_limit = 1 << 20});
  for (int i = 0; i < 500; ++i) {
    CHECK_THROWS_AS(state.execute("error('x')"), LuaError);
    CHECK_THROWS_AS(state.execute("x ="), LuaSyntaxError);
    CHECK_THROWS_AS(state.execute("return io.stdout"), ConversionError);
    CHECK_THROWS_AS(state.get("io"), ConversionError);
    CHECK_THROWS_AS(state.call("nothing"), LuaError);
  }
  CHECK_THROWS_AS(state.execute("t = {} for i = 1, 1e9 do t[i] = {} end"), LuaMemoryError);
  state.set("t", nullptr);
  CHECK(state.eval("1 + 1").at(0).as<int>() == 2);
}

TEST_CASE("time_limit is for each call and may be changed [compiled loop]") {
  LuaState state({.grace = 1ms});
  CHECK_FALSE(state.time_limit().has_value());
  state.set_time_limit(20ms);
  for (int i = 0; i < 5; ++i) {
    CHECK_THROWS_AS(state.execute("while true do end"), LuaTimeout);
    CHECK(state.eval("1").at(0).as<int>() == 1);
  }
  try {
    state.execute("while true do end");
  } catch (const LuaTimeout& error) {
    CHECK(error.message() == "time limit of 0.02 s exceeded");
    CHECK(error.stage() == StopStage::interrupt);
  }
  state.set_time_limit(std::nullopt);
  CHECK(state.eval("2").at(0).as<int>() == 2);
  CHECK_THROWS_AS(state.set_time_limit(-1ms), std::invalid_argument);
}

TEST_CASE("a deadline that passed during the last call does not end the next") {
  LuaState state({.time_limit = 2ms});
  int timeouts = 0;
  for (int i = 0; i < 300; ++i) {
    try {  // ends at about its limit, now before, now after
      state.execute(
          "local o = require 'osthread' local till = o.now() + 0.0019 + ... while o.now() < till do end",
          {i % 20 * 1e-5});
    } catch (const LuaTimeout&) {
      ++timeouts;
    }
    state.set_time_limit(std::nullopt);
    CHECK_NOTHROW(state.execute("return 1"));
    state.set_time_limit(2ms);
  }
  MESSAGE("calls that ran into their limit: ", timeouts);
}

TEST_CASE("interrupt ends the call that runs, and no later one [compiled loop]") {
  LuaState state({.grace = 1ms});
  CHECK_FALSE(state.interrupt());
  for (int i = 0; i < 20; ++i) {
    Signal started;
    std::thread stopper([&] {
      started.wait();
      CHECK(state.interrupt());
    });
    CHECK_THROWS_AS(state.execute("(...)() while true do end", {started.value()}), Stopped);
    stopper.join();
    CHECK(state.eval("1").at(0).as<int>() == 1);
  }
}

TEST_CASE("a second thread's call waits its turn") {
  LuaState state;
  Gate gate;
  std::thread first([&] { state.execute("(...)() n = 1", {gate.value()}); });
  gate.wait_inside();
  std::thread second([&] { state.execute("n = n + 1"); });
  gate.open();
  first.join();
  second.join();
  CHECK(state.get("n").as<int>() == 2);
}

TEST_CASE("a function that the state calls may read and write globals, and run nothing in it") {
  LuaState state;
  state.set("n", 5);
  const Value reads = function([&] { return state.get("n"); });
  const Value writes = function([&](double x) { state.set("n", x); });
  const Value runs = function([&] { return state.eval("1"); });
  const Value closes = function([&] { state.close(); });
  CHECK(state.execute("return (...)() + 1", {reads}).at(0).as<int>() == 6);
  CHECK(state
            .execute("local f = ... local r = {coroutine.wrap(function(a, b) f(7) return a, b, n end)(1, 2)} "
                     "return unpack(r)",
                     {writes})
            .at(2)
            .as<int>() == 7);
  CHECK_THROWS_AS(state.execute("(...)()", {runs}), std::logic_error);
  CHECK_THROWS_AS(state.execute("(...)()", {closes}), std::logic_error);
  CHECK(state.eval("n").at(0).as<int>() == 7);
}

TEST_CASE("the output may look at the state's globals while it is written") {
  LuaState* running = nullptr;
  std::string written;
  LuaState state({.output = [&](std::string_view text) {
    CHECK(running->get("n").as<int>() == 1);
    written += text;
  }});
  running = &state;
  state.execute("n = 1 for i = 1, 100 do print(('x'):rep(i) .. i) end collectgarbage()");
  CHECK(written.size() > 5000);
}

TEST_CASE("os.exit ends the call with its value, and nothing of the next") {
  LuaState state;
  CHECK(state.execute("pcall(os.exit, 'bye') error 'not reached'").at(0).as<std::string>() == "bye");
  CHECK(state.execute("coroutine.wrap(function() os.exit() end)()").empty());
  CHECK(state.eval("1").at(0).as<int>() == 1);
}

TEST_CASE("close runs the finalizers once; then everything but closed() and statistics() is refused") {
  int ran = 0;
  LuaState state;
  state.set("ran", function([&ran] { ++ran; }));
  state.execute(
      "local u = newproxy(true) local ran = ran getmetatable(u).__gc = function() ran() end keep = u");
  CHECK_FALSE(state.closed());
  state.close();
  state.close();
  CHECK(ran == 1);
  CHECK(state.closed());
  CHECK(state.statistics().memory == 0);
  CHECK_THROWS_AS(state.execute("return 1"), std::logic_error);
  CHECK_THROWS_AS(state.get("x"), std::logic_error);
  CHECK_THROWS_AS(state.set("x", 1), std::logic_error);
}

TEST_CASE("statistics may be asked for while another thread closes the state") {
  for (int i = 0; i < 50; ++i) {
    LuaState state;
    std::thread asker([&] {
      for (int k = 0; k < 200; ++k) (void)state.statistics();
    });
    state.close();
    asker.join();
  }
}

TEST_CASE("a finalizer's os.exit and sleep touch only its own state") {
  LuaState outer;
  const Value drops = function([] {
    LuaState inner;
    inner.execute("local u = newproxy(true) getmetatable(u).__gc = function() os.exit(7) end keep = u");
  });
  CHECK(outer.execute("(...)() return 'went on'", {drops}).at(0).as<std::string>() == "went on");
}

TEST_CASE("modules, globals, libraries and path are there before the code runs") {
  LuaState state({.libraries = {"safe"},
                  .globals = {{"n", 4}},
                  .modules = {{"m", "local name = ... return {name = name, n = 3}"}}});
  CHECK(state.execute("local m = require 'm' return m.n + n, m.name, require 'm' == m").at(0).as<int>() == 7);
  CHECK_THROWS_AS(LuaState({.modules = {{"bad", "x ="}}}), LuaSyntaxError);
  CHECK_THROWS_AS(LuaState({.libraries = {"nonsense"}}), std::invalid_argument);
  CHECK_THROWS_AS(LuaState({.memory_limit = 1}), std::invalid_argument);
  CHECK_THROWS_AS(LuaState({.grace = -1ms}), std::invalid_argument);
  CHECK_THROWS_AS(LuaState().execute(Code("\x1bLJ")), std::invalid_argument);
}

TEST_CASE("syntax errors tell their own line, whatever the source holds") {
  const auto line = [](const char* source) {
    try {
      lua(source);
    } catch (const LuaSyntaxError& error) {
      return error.line();
    }
    return -1;
  };
  CHECK(line("x =\n= 1") == 2);
  try {
    LuaState().execute(Code("x = ':99999999999:' y z"));
  } catch (const LuaSyntaxError& error) {
    CHECK(error.line() == 1);
  }
  try {
    LuaState().execute(Code("x = ':77:'\n\n\ny z"));
  } catch (const LuaSyntaxError& error) {
    CHECK(error.line() == 4);
  }
}

TEST_CASE("a file name given as code is told what it is") {
  CHECK_THROWS_WITH_AS(
      LuaState().execute("job.lua"),
      doctest::Contains("to run the file 'job.lua' pass what is in it, or in Python a pathlib.Path)"),
      LuaSyntaxError);
}
