// Starts and stops at random moments. A bounded slice always; with OSTHREAD_STRESS=1 the full 20,000.
#include <random>
#include <thread>

#include "../../cpp/src/registry.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

int rounds(int slice) {
  const char* full = std::getenv("OSTHREAD_STRESS");
  return full && *full && *full != '0' ? 20'000 : slice;
}

// What threads of ours do in programs, kept up for ever.
constexpr const char* kHostile[] = {
    "while true do end",
    "local t = {} while true do t[#t % 100 + 1] = {} end",
    "while true do pcall(error, 'x') end",
    "while true do coroutine.wrap(function() coroutine.yield() end)() end",
    "local s = 'x' while true do s = (s .. 'y'):sub(-100) end",
    "while true do ('a'):rep(1000):gsub('.', function(c) return c end) end",
    "while true do local u = newproxy(true) getmetatable(u).__gc = function() end end",
    "while true do debug.sethook(function() end, 'l') debug.sethook() end",
    "while true do collectgarbage 'step' end",
    "local ffi = require 'ffi' while true do local x = ffi.new 'int[10]' x[3] = 1 end",
    "while true do loadstring('local x = ' .. math.random(1e6) .. ' for i = 1, 60 do x = x + i end')() end",
    "while true do table.sort({3, 1, 2}, function(a, b) return a < b end) end",
    "local f = ... while true do f(1, {2}, 'x') end",
};

// Whose Lua calls the library, so that TSan sees the signals.
constexpr const char* kCalling[] = {
    "local o = require 'osthread' while true do o.sleep(1e-5) end",
    "local f = ... while true do f(1, {2}, 'x') end",
    "local o = require 'osthread' o.sleep(1000)",
    "return 1",
    "error('x')",
};

template <std::size_t N>
void storm(const char* const (&codes)[N], int count) {
  std::mt19937 random(std::random_device{}());
  const auto seed = random();
  CAPTURE(seed);
  random.seed(seed);
  const Value takes = function([](Values args) { return args; });
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    OSThread thread(codes[random() % N], {takes}, {.grace = std::chrono::microseconds(random() % 2000)});
    const auto wait = std::chrono::microseconds(random() % 4 == 0 ? random() % 3000 : random() % 200);
    const Clock::time_point until = Clock::now() + wait;
    if (wait > 200us)
      std::this_thread::sleep_until(until);
    else
      while (Clock::now() < until) {
      }
    switch (random() % 4) {
      case 0:
        thread.request_stop();
        thread.interrupt();
        break;
      case 1:
        (void)thread.stack();
        thread.interrupt();
        break;
      default:
        thread.interrupt();
    }
    if (!thread.join_for(kPatience)) {
      FAIL("not stopped: " << codes[random() % N] << " " << to_string(thread.status()));
    }
    const Status status = thread.status();
    if (status != Status::stopped && status != Status::finished && status != Status::failed) ++wrong;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("stress: every loop ends when it is interrupted, whenever that is [compiled loop]") {
  storm(kHostile, rounds(400));
}

TEST_CASE("stress: threads that call the library end when they are interrupted") {
  storm(kCalling, rounds(300));
}

TEST_CASE("stress: several threads start and stop threads [compiled loop]") {
  const int count = rounds(400) / 4;
  std::vector<std::thread> starters;
  for (int i = 0; i < 4; ++i)
    starters.emplace_back([count, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (int k = 0; k < count; ++k) {
        OSThread thread(kHostile[random() % 12], {}, {.on_exit = OnExit::terminate, .grace = 100us});
        for (auto spin = random() % 5000; spin > 0; --spin)
          std::atomic_signal_fence(std::memory_order_seq_cst);
      }
    });
  for (std::thread& starter : starters) starter.join();
  CHECK(registry::wait_until_quiet(Clock::now() + kPatience));
}

TEST_CASE("stress: a burst of threads at once") {
  std::vector<OSThread> threads;
  const int count = rounds(300) > 300 ? 2000 : 300;
  for (int i = 0; i < count; ++i) threads.emplace_back("return ...", Values{i});
  for (int i = 0; i < count; ++i) CHECK(threads[static_cast<std::size_t>(i)].result().at(0).as<int>() == i);
}

TEST_CASE("stress: one LuaState interrupted at random moments stays usable [compiled loop]") {
  LuaState state({.grace = 200us});
  state.execute("kept = 41");
  std::atomic<bool> ended = false;
  std::thread stopper([&] {
    std::mt19937 random(5);
    while (!ended) {
      state.interrupt();
      for (auto spin = random() % 20'000; spin > 0; --spin)
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  });
  int stopped = 0;
  for (int i = 0; i < rounds(400); ++i) {
    try {
      state.execute(kHostile[static_cast<std::size_t>(i) % 12]);
      FAIL("an endless loop ended");
    } catch (const Stopped&) {
      ++stopped;
    } catch (const LuaError&) {  // its own, as the stop met an error handler
    }
  }
  ended = true;
  stopper.join();
  CHECK(stopped > 0);
  CHECK(state.eval("kept + 1").at(0).as<int>() == 42);
}
