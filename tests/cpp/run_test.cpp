#include "../../cpp/src/run.hpp"

#include <thread>

#include "../../cpp/src/watchdog.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// A call of Lua in a state of its own, on this thread: a nested run.
Value nested(std::string code, StateOptions options = {}) {
  return function([code, options](const Values& args) -> Values { return lua(code, args, options); });
}

StopStage stage_of(const OSThread& thread) {
  try {
    (void)thread.result();
  } catch (const Stopped& error) {
    return error.stage();
  }
  FAIL("no Stopped");
  return StopStage::kill;
}

std::atomic<int> looks{0};

// Of a run that is looked after: when somebody has to watch it.
Clock::time_point open(Stop& stop) {
  const auto watch = stop.open_here(interrupt::this_thread(), true);
  REQUIRE(watch.has_value());
  return watch->at;
}

}  // namespace

TEST_CASE("a Stop hears only while it is open") {
  const auto stop = std::make_shared<Stop>(10ms);
  CHECK_FALSE(stop->ask(StopReason::interrupt));
  CHECK_FALSE(stop->request());
  stop->open();
  CHECK(stop->ask(StopReason::interrupt));
  CHECK_FALSE(stop->ask(StopReason::interrupt));
  CHECK(stop->request());
  CHECK_FALSE(stop->request());
  CHECK(stop->reason() == StopReason::interrupt);
  CHECK_FALSE(stop->deliver().has_value());  // nobody to poke
  stop->close();
  CHECK_FALSE(stop->ask(StopReason::deadline));
  stop->open();
  CHECK(stop->reason() == StopReason::none);
  CHECK_FALSE(stop->requested());
}

TEST_CASE("a deadline asks once it has passed, unless it is cleared or set anew") {
  const auto stop = std::make_shared<Stop>(10ms);
  stop->open();
  const Clock::time_point now = Clock::now();
  CHECK(stop->set_deadline(now + 1h, 1h).has_value());
  CHECK_FALSE(stop->set_deadline(now + 2h, 2h).has_value());  // the earlier watch does for this one too
  CHECK(stop->watch(now + 1h) == now + 2h);
  const auto sooner = stop->set_deadline(now + 1h, 1h);
  REQUIRE(sooner.has_value());
  CHECK(sooner->at == now + 1h);
  CHECK(sooner->before == now + 2h);
  CHECK_FALSE(stop->watch(now + 2h).has_value());  // whoever was told of the earlier one goes on from there
  stop->clear_deadline();
  CHECK_FALSE(stop->watch(now + 1h).has_value());
  CHECK(stop->reason() == StopReason::none);
  CHECK(stop->set_deadline(now, 0ns).has_value());
  (void)stop->watch(now);
  CHECK(stop->reason() == StopReason::deadline);
  CHECK_FALSE(stop->set_deadline(Clock::time_point::max(), 1h).has_value());
}

TEST_CASE("a watch that goes on serves the next deadline too") {
  const auto stop = std::make_shared<Stop>(10ms);
  stop->open();
  stop->bind(interrupt::this_thread());
  const Clock::time_point now = Clock::now();
  REQUIRE(stop->set_deadline(now, 0ns).has_value());
  const auto again = stop->watch(now);
  REQUIRE(again.has_value());  // it asks, and will ask again
  stop->clear_deadline();
  stop->close();
  stop->open();  // the next call, before it does
  stop->bind(interrupt::this_thread());
  const bool needs_another = stop->set_deadline(Clock::now() + 1h, 1h).has_value();
  CHECK(needs_another != stop->watch(*again).has_value());  // one of the two watches, not both
  stop->close();
}

TEST_CASE("a run that is looked after is so once, if it lasts") {
  bool (*const always)() noexcept = []() noexcept { return true; };
  bool (*const never)() noexcept = []() noexcept { return false; };
  void (*const look)() noexcept = []() noexcept { ++looks; };
  Stop::set_look({always, look});
  const auto stop = std::make_shared<Stop>(10ms);
  LuaState lua;
  lua.execute("return 1");  // this thread can be reached from here on
  Vm vm(Vm::Environment::ignored, {});
  std::optional<Clock::time_point> at = open(*stop);
  {
    Run run(vm, *stop);
    at = stop->watch(*at);  // too early
    CHECK(looks == 0);
    while (Clock::now() < *at) std::this_thread::yield();
    CHECK_FALSE(stop->watch(*at).has_value());
    run.attend();  // where no signal does it
    CHECK(looks == 1);
  }
  stop->close();
  Stop::set_look({never, look});
  at = open(*stop);
  while (Clock::now() < *at) std::this_thread::yield();
  CHECK_FALSE(stop->watch(*at).has_value());
  stop->close();
  Stop::set_look({always, look});
  at = open(*stop);
  stop->close();
  CHECK_FALSE(stop->open_here(interrupt::this_thread(), true).has_value());  // that watch does for it, too
  while (Clock::now() < *at) std::this_thread::yield();
  Run run(vm, *stop);
  at = stop->watch(*at);  // another run than the one that it began with
  CHECK(at.has_value());
  CHECK(looks == 1);
  stop->close();
  Stop::set_look({});
}

TEST_CASE("what is seen to elsewhere while a run lasts makes a look due") {
  static std::atomic<std::uint32_t> seen_to{0};
  looks = 0;
  Stop::set_look(
      {.due = []() noexcept { return false; }, .see_to_it = []() noexcept { ++looks; }, .seen_to = &seen_to});
  const auto stop = std::make_shared<Stop>(10ms);
  LuaState lua;
  lua.execute("return 1");  // this thread can be reached from here on
  Vm vm(Vm::Environment::ignored, {});
  for (const int expected : {0, 1}) {
    const Clock::time_point at = open(*stop);
    Run run(vm, *stop);
    if (expected) ++seen_to;
    while (Clock::now() < at) std::this_thread::yield();
    CHECK_FALSE(stop->watch(at).has_value());
    run.attend();  // where no signal does it
    CHECK(looks == expected);
    stop->close();
  }
  Stop::set_look({});
}

TEST_CASE("a look waits until the run has read or written") {
  looks = 0;
  Stop::set_look({.due = []() noexcept { return looks == 0; }, .see_to_it = []() noexcept { ++looks; }});
  const auto stop = std::make_shared<Stop>(10ms);
  LuaState lua;
  lua.execute("return 1");
  Vm vm(Vm::Environment::ignored, {});
  std::optional<Clock::time_point> at = open(*stop);
  Run run(vm, *stop);
  {
    const Run::Uncut uncut;
    for (int i = 0; i < 3; ++i) {
      while (Clock::now() < *at) std::this_thread::yield();
      at = stop->watch(*at);
      REQUIRE(at.has_value());
      CHECK(looks == 0);
    }
  }
  CHECK(looks == 1);
  while (Clock::now() < *at) std::this_thread::yield();
  CHECK_FALSE(stop->watch(*at).has_value());
  CHECK(looks == 1);
  stop->close();
  Stop::set_look({});
}

TEST_CASE("a stop asked before the thread starts ends it at its first instruction [compiled loop]") {
  Signal ran;
  OSThread thread("(...)() while true do end", {ran.value()}, {.suspended = true, .grace = 1ms});
  CHECK(thread.interrupt());
  thread.start();
  CHECK(stage_of(thread) == StopStage::interrupt);
  CHECK(ran.calls() == 0);
}

TEST_CASE("a stop asked after the end finds nothing to do") {
  OSThread thread("return 1");
  thread.join();
  CHECK_FALSE(thread.interrupt());
  CHECK_FALSE(thread.request_stop());
  CHECK(thread.terminate() == Status::finished);
  CHECK(thread.stack().empty());
}

TEST_CASE("request_stop before a wait ends that wait, also the first") {
  Gate gate;
  OSThread thread("local o, f = require 'osthread', ... f() o.sleep(1000)", {gate.value()});
  gate.wait_inside();
  CHECK(thread.request_stop());
  gate.open();
  CHECK(stage_of(thread) == StopStage::request);
}

TEST_CASE("a stop of the outer run ends the nested ones first, each by its own error [compiled loop]") {
  for (const char* inner : {"(...)() while true do end", "(...)() require('osthread').sleep(1000)",
                            "local f = ... pcall(function() f() while true do end end) while true do end"}) {
    CAPTURE(inner);
    Signal started;
    OSThread thread(
        "local run, f = ... local ok, e = pcall(run, f) return ok, require('osthread').is_stopped(e)",
        {nested(inner), started.value()}, {.grace = 20ms});
    started.wait();
    CHECK(thread.interrupt());
    REQUIRE(thread.join_for(kPatience));
    CHECK(thread.status() == Status::stopped);  // the outer run was asked too, when the inner one had ended
  }
}

TEST_CASE("three runs deep, a stop unwinds all [compiled loop]") {
  Signal started;
  const Value innermost = nested("(...)() while true do end");
  const Value middle = function([innermost](const Values& args) -> Values {
    return lua("local run, f = ... return pcall(run, f)", {innermost, args.at(0)});
  });
  OSThread thread("local run, f = ... run(f) while true do end", {middle, started.value()}, {.grace = 10ms});
  started.wait();
  thread.interrupt();
  CHECK(thread.join_for(kPatience));
  CHECK(thread.status() == Status::stopped);
}

TEST_CASE("a nested run's own limit ends it alone [compiled loop]") {
  OSThread thread("local ok, e = pcall(...) return ok, tostring(e)",
                  {nested("while true do end", {.grace = 1ms, .time_limit = 20ms})});
  CHECK_FALSE(thread.result().at(0).as<bool>());
  CHECK(thread.result().at(1).as<std::string>() == "time limit of 0.02 s exceeded");
}

TEST_CASE("the outer's deadline, met in a nested run, names the outer's limit [compiled loop]") {
  OSThread thread("local ok, e = pcall(...) error(e, 0)", {nested("while true do end")},
                  {.grace = 1ms, .time_limit = 20ms});
  try {
    (void)thread.result();
    FAIL("it returned");
  } catch (const LuaTimeout& error) {
    CHECK(error.message() == "time limit of 0.02 s exceeded");
  }
}

TEST_CASE("the script's own hook works again after the stop's error was caught [compiled loop]") {
  Signal started;
  OSThread thread(
      "local started = ...\n"
      "jit.off()\n"
      "local lines = 0\n"
      "local function count() lines = lines + 1 end\n"
      "debug.sethook(count, 'l')\n"
      "pcall(function() started() while true do end end)\n"
      "local before = lines\n"
      "local x = 1\n"
      "x = x + 1\n"
      "local hook, mask = debug.gethook()\n"
      "return hook == count, mask, lines > before",
      {started.value()}, {.grace = 30s});
  started.wait();
  thread.interrupt();
  CHECK(thread.result().at(0).as<bool>());
  CHECK(thread.result().at(1).as<std::string>() == "l");
  CHECK(thread.result().at(2).as<bool>());
}

TEST_CASE("after a stop's error no hook is left: compiled code runs at full speed [compiled loop]") {
  Signal started;
  OSThread thread(
      "local started = ... pcall(function() started() while true do end end)\n"
      "return debug.gethook() == nil",
      {started.value()}, {.grace = 30s});
  started.wait();
  thread.interrupt();
  CHECK(thread.result().at(0).as<bool>());
}

TEST_CASE("how a stop ends the chunk: what it does within the grace time counts [compiled loop]") {
  const auto end_of = [](const char* code, std::chrono::nanoseconds grace) {
    Signal started;
    OSThread thread(code, {started.value()}, {.grace = grace});
    started.wait();
    thread.interrupt();
    thread.join();
    return thread.status();
  };
  const char* loop = "local f = ... local ok, e = pcall(function() f() while true do end end) ";
  CHECK(end_of((std::string(loop) + "return 1").c_str(), 30s) == Status::finished);
  CHECK(end_of((std::string(loop) + "error(e)").c_str(), 30s) == Status::stopped);
  CHECK(end_of((std::string(loop) + "error('own')").c_str(), 30s) == Status::failed);
  CHECK(end_of((std::string(loop) + "while true do end").c_str(), 20ms) == Status::stopped);
  CHECK(end_of((std::string(loop) + "while true do pcall(function() while true do end end) end").c_str(),
               20ms) == Status::stopped);
}

TEST_CASE("an error of the chunk's own during the grace time has the stop as its context [compiled loop]") {
  Signal started;
  OSThread thread("local f = ... pcall(function() f() while true do end end) error('own')", {started.value()},
                  {.grace = 30s});
  started.wait();
  thread.interrupt();
  try {
    (void)thread.result();
    FAIL("it returned");
  } catch (const LuaError& error) {
    CHECK(error.message().find("own") != std::string::npos);
    REQUIRE(error.context());
    CHECK(dynamic_cast<const Stopped*>(error.context().get()) != nullptr);
  }
}

TEST_CASE("waiting works within the grace time, and ends with it") {
  Signal started;
  OSThread thread(
      "local o, f = require 'osthread', ...\n"
      "pcall(function() f() o.sleep(1000) end)\n"
      "o.sleep(0.001)\n"
      "o.sleep(1000)",
      {started.value()}, {.grace = 50ms});
  started.wait();
  thread.interrupt();
  CHECK(thread.join_for(kPatience));
  CHECK(thread.status() == Status::stopped);
}

TEST_CASE("an inspection tells where the code is, and changes nothing [compiled loop]") {
  Signal started;
  std::atomic<bool> go_on = true;
  OSThread thread(
      "local f, more = ...\n"
      "local function spin() while more() do end return 'whole' end\n"
      "f()\n"
      "return spin()",
      {started.value(), function([&go_on] { return go_on.load(); })}, {.chunk_name = "=where"});
  started.wait();
  int found = 0;
  for (int i = 0; i < 50; ++i) {
    const std::vector<Frame> frames = thread.stack();
    for (const Frame& frame : frames) found += frame.source == "where";
  }
  CHECK(found > 0);
  go_on = false;
  CHECK(thread.result().at(0).as<std::string>() == "whole");
}

TEST_CASE("several inspectors at once are all answered, in a wait too") {
  Signal started;
  OSThread thread("(...)() require('osthread').sleep(1000)", {started.value()}, {.chunk_name = "=sleeper"});
  started.wait();
  std::vector<std::thread> askers;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([&] {
      for (int k = 0; k < 10; ++k) answered += !thread.stack().empty();
    });
  for (std::thread& asker : askers) asker.join();
  CHECK(answered == 40);
  thread.interrupt();
  thread.join();
}

TEST_CASE("an inspection of a thread that answers nothing ends in time") {
  Gate gate;
  OSThread thread("(...)()", {gate.value()});
  gate.wait_inside();
  CHECK(thread.stack().empty());
  gate.open();
  CHECK(thread.result().empty());
}

TEST_CASE("the stack of an endless recursion is told without walking it again and again") {
  OSThread thread("local function f() return 1 + f() end return f()");
  const Clock::time_point before = Clock::now();
  CHECK_THROWS_AS((void)thread.result(), LuaError);
  CHECK(Clock::now() - before < 2s);
}

TEST_CASE("an interrupt that meets the reading of arguments is a stop, nothing else [compiled loop]") {
  const Value takes = function([](const Values&) -> Values { return {INT64_MAX}; });
  for (int i = 0; i < 100; ++i) {
    Signal started;
    OSThread thread("local f, started = ... started() while true do f(1LL, {2LL}) end",
                    {takes, started.value()}, {.grace = 1ms});
    started.wait();
    thread.interrupt();
    CHECK_THROWS_AS((void)thread.result(), Stopped);
  }
}

TEST_CASE("os.exit ends every frame between it and the chunk, coroutines and pcalls too") {
  OSThread thread(
      "pcall(function() coroutine.wrap(function() pcall(function() os.exit('out') end) while true do end "
      "end)() end)\n"
      "while true do pcall(error) end");
  CHECK(thread.result().at(0).as<std::string>() == "out");
}

TEST_CASE("stopping from several threads at once counts once [compiled loop]") {
  Signal started;
  OSThread thread("(...)() while true do end", {started.value()}, {.grace = 1ms});
  started.wait();
  std::atomic<int> had_something = 0;
  std::vector<std::thread> stoppers;
  for (int i = 0; i < 4; ++i) stoppers.emplace_back([&] { had_something += thread.interrupt(); });
  for (std::thread& stopper : stoppers) stopper.join();
  thread.join();
  CHECK(had_something == 1);
  CHECK(thread.statistics().stops_asked >= 1);
}
