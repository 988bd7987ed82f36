#include "../../cpp/src/watchdog.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// What ran, in its order.
class Log {
 public:
  void add(int what) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(what);
    changed_.notify_all();
  }
  std::vector<int> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    CHECK(changed_.wait_for(lock, kPatience, [&] { return entries_.size() >= count; }));
    return entries_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> entries_;
};

std::atomic<int> looked_for{0};

}  // namespace

TEST_CASE("tasks run in the order of their times, not of their coming") {
  const auto log = std::make_shared<Log>();
  const Clock::time_point start = Clock::now() + 30ms;
  for (const int i : {5, 1, 4, 2, 3, 0})
    Watchdog::instance().schedule(start + i * 1ms, [log, i]() -> std::optional<Clock::time_point> {
      log->add(i);
      return std::nullopt;
    });
  CHECK(log->wait_for(6) == std::vector{0, 1, 2, 3, 4, 5});
  CHECK(Clock::now() >= start + 5ms);
}

TEST_CASE("tasks of one time run in the order of their coming") {
  const auto log = std::make_shared<Log>();
  const Clock::time_point at = Clock::now() + 10ms;
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back(i);
    Watchdog::instance().schedule(at, [log, i]() -> std::optional<Clock::time_point> {
      log->add(i);
      return std::nullopt;
    });
  }
  CHECK(log->wait_for(100) == expected);
}

TEST_CASE("a task that names another time runs again then, and its end drops what it holds") {
  const auto log = std::make_shared<Log>();
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = held;
  Watchdog::instance().schedule(Clock::now(), [log, held]() -> std::optional<Clock::time_point> {
    log->add(++*held);
    if (*held == 3) return std::nullopt;
    return Clock::now() + 1ms;
  });
  held.reset();
  CHECK(log->wait_for(3) == std::vector{1, 2, 3});
  for (int i = 0; i < 10'000 && !watched.expired(); ++i) std::this_thread::sleep_for(1ms);
  CHECK(watched.expired());
}

TEST_CASE("an early task overtakes one that is waited for") {
  const auto log = std::make_shared<Log>();
  const auto add = [log](int i) {
    return [log, i]() -> std::optional<Clock::time_point> {
      log->add(i);
      return std::nullopt;
    };
  };
  Watchdog::instance().schedule(Clock::now() + 300ms, add(2));
  Watchdog::instance().schedule(Clock::now() + 20ms, add(1));
  CHECK(log->wait_for(2) == std::vector{1, 2});
}

TEST_CASE("a task may schedule another") {
  const auto log = std::make_shared<Log>();
  Watchdog::instance().schedule(Clock::now(), [log]() -> std::optional<Clock::time_point> {
    Watchdog::instance().schedule(Clock::now(), [log]() -> std::optional<Clock::time_point> {
      log->add(2);
      return std::nullopt;
    });
    log->add(1);
    return std::nullopt;
  });
  CHECK(log->wait_for(2) == std::vector{1, 2});
}

TEST_CASE("an owner's task takes the place of its earlier one, and its end is no end of others'") {
  const auto log = std::make_shared<Log>();
  const int one = 1;
  const int other = 2;
  const auto add = [log](int i) {
    return [log, i]() -> std::optional<Clock::time_point> {
      log->add(i);
      return std::nullopt;
    };
  };
  const Clock::time_point late = Clock::now() + 200ms;
  Watchdog& dog = Watchdog::instance();
  dog.replace(&one, Clock::time_point::max(), late, add(1));
  dog.replace(&other, Clock::time_point::max(), late, add(2));
  dog.replace(&one, late, late - 1ms, add(3));
  dog.replace(&one, late - 1ms, late - 2ms, add(4));
  dog.schedule(late + 1ms, add(5));
  CHECK(log->wait_for(3) == std::vector{4, 2, 5});
}

TEST_CASE("an owner's task that was replaced while it ran does not run again") {
  const auto log = std::make_shared<Log>();
  const int owner = 0;
  const Clock::time_point again = Clock::now() + 20ms;
  Watchdog& dog = Watchdog::instance();
  dog.replace(&owner, Clock::time_point::max(), Clock::now(),
              [log, again, &dog, &owner]() -> std::optional<Clock::time_point> {
                log->add(1);
                dog.replace(&owner, again, again - 1ms, [log]() -> std::optional<Clock::time_point> {
                  log->add(2);
                  return std::nullopt;
                });
                return again;
              });
  dog.schedule(again + 1ms, [log]() -> std::optional<Clock::time_point> {
    log->add(3);
    return std::nullopt;
  });
  CHECK(log->wait_for(3) == std::vector{1, 2, 3});
}

TEST_CASE("calls that last leave nothing behind for the end of their time limits") {
  Stop::set_look({.due = []() noexcept { return ++looked_for < 0; }, .see_to_it = nullptr});
  const auto stop = std::make_shared<Stop>(10ms);
  const std::size_t before = Watchdog::instance().scheduled();
  for (int i = 0; i < 10; ++i) {
    const int seen = looked_for;
    open_here(stop, true);
    bound_time(stop, 1h);
    for (int j = 0; j < 10'000 && looked_for == seen; ++j) std::this_thread::sleep_for(1ms);
    CHECK(looked_for > seen);
    stop->close();
  }
  CHECK(Watchdog::instance().scheduled() <= before + 1);
  Stop::set_look({});
}

TEST_CASE("many deadlines at once end their threads, each in its time [compiled loop]") {
  std::vector<OSThread> threads;
  for (int i = 0; i < 30; ++i)
    threads.emplace_back(
        "while true do end", Values{},
        ThreadOptions{.grace = 1ms, .time_limit = std::chrono::milliseconds(10 + i % 7 * 5)});
  for (OSThread& thread : threads) {
    REQUIRE(thread.join_for(kPatience));
    CHECK_THROWS_AS((void)thread.result(), LuaTimeout);
    CHECK(thread.status() == Status::failed);
  }
}

TEST_CASE("a deadline that is far away, or has passed at once, is kept too") {
  OSThread far("return 1", {}, {.time_limit = std::chrono::nanoseconds::max()});
  CHECK(far.result().at(0).as<int>() == 1);
  OSThread never("require('osthread').sleep(1000)", {}, {.grace = 1ms, .time_limit = 0ns});
  CHECK_THROWS_AS((void)never.result(), LuaTimeout);
}

TEST_CASE("blocked time counts") {
  OSThread sleeper("require('osthread').sleep(1000)", {}, {.grace = 1ms, .time_limit = 20ms});
  REQUIRE(sleeper.join_for(kPatience));
  CHECK_THROWS_AS((void)sleeper.result(), LuaTimeout);
}

TEST_CASE("a thread that does not answer is abandoned, and its end is no second one") {
  Gate gate;
  OSThread thread("(...)()", {gate.value()}, {.grace = 1ms});
  gate.wait_inside();
  int ended = 0;
  thread.on_end([&ended] { ++ended; });
  CHECK(thread.terminate(1ms) == Status::abandoned);
  CHECK_THROWS_AS((void)thread.result(), Abandoned);
  gate.open();
  CHECK(thread.terminate() == Status::abandoned);
  CHECK(ended == 1);
}
