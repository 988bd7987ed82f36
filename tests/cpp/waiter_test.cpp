#include "../../cpp/src/waiter.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "event.hpp"

using namespace std::chrono_literals;
using osthread::Clock;
using osthread::Waiter;
using osthread::test::Event;

namespace {

// A test that loses a wake-up fails then, instead of hanging.
Clock::time_point too_late() { return Clock::now() + 60s; }

// A baton that two threads hand each other.
struct Side {
  std::atomic<int> turn{0};
  Waiter waiter;

  void give(int value) {
    turn.store(value, std::memory_order_release);
    waiter.wake_one();
  }
  bool take(int value, bool spin) {
    for (;;) {
      const Waiter::Ticket ticket = waiter.ticket();
      if (turn.load(std::memory_order_acquire) == value) return true;
      if (waiter.park(ticket, too_late(), spin) == Waiter::Outcome::timed_out) return false;
    }
  }
};

bool ping_pong(int rounds, bool spin) {
  Side ping;
  Side pong;
  std::atomic<bool> lost = false;
  std::thread other([&] {
    for (int i = 1; i <= rounds && !lost; ++i) {
      if (!ping.take(i, spin)) lost = true;
      pong.give(i);
    }
  });
  for (int i = 1; i <= rounds && !lost; ++i) {
    ping.give(i);
    if (!pong.take(i, spin)) lost = true;
  }
  other.join();
  return !lost;
}

}  // namespace

TEST_CASE("a wake after the ticket is never slept through") {
  Waiter waiter;
  const Waiter::Ticket ticket = waiter.ticket();
  waiter.wake_all();
  CHECK(waiter.park(ticket, std::nullopt) == Waiter::Outcome::woken);
  CHECK(waiter.park(ticket, Clock::time_point::min()) ==
        Waiter::Outcome::woken);  // it wins over the deadline
  CHECK(waiter.park(ticket, Clock::time_point::min(), true) == Waiter::Outcome::woken);
  const Waiter::Ticket next = waiter.ticket();
  CHECK(next != ticket);
  waiter.wake_one();
  CHECK(waiter.park(next, std::nullopt) == Waiter::Outcome::woken);
}

TEST_CASE("a wake before the ticket does not count") {
  Waiter waiter;
  waiter.wake_all();
  waiter.wake_one();
  CHECK(waiter.park(waiter.ticket(), Clock::now()) == Waiter::Outcome::timed_out);
}

TEST_CASE("a deadline is met: not early, and at once when it has passed") {
  Waiter waiter;
  for (const bool spin : {false, true}) {
    CHECK(waiter.park(waiter.ticket(), Clock::time_point::min(), spin) == Waiter::Outcome::timed_out);
    CHECK(waiter.park(waiter.ticket(), Clock::time_point{}, spin) == Waiter::Outcome::timed_out);
    CHECK(waiter.park(waiter.ticket(), Clock::now() - 1ns, spin) == Waiter::Outcome::timed_out);
    for (const auto wait : {1us, 500us, 20'000us}) {
      const Clock::time_point deadline = Clock::now() + wait;
      CHECK(waiter.park(waiter.ticket(), deadline, spin) == Waiter::Outcome::timed_out);
      CHECK(Clock::now() >= deadline);
    }
  }
}

TEST_CASE("a huge deadline is no deadline, and does not overflow") {
  Waiter waiter;
  std::atomic<bool> done = false;
  for (const Clock::time_point deadline :
       {Clock::time_point::max(), Clock::now() + std::chrono::years(250)}) {
    done = false;
    std::thread other([&] {
      done = true;
      waiter.wake_all();
    });
    Waiter::Outcome outcome = Waiter::Outcome::woken;
    for (;;) {
      const Waiter::Ticket ticket = waiter.ticket();
      if (done) break;
      outcome = waiter.park(ticket, deadline);
      if (outcome == Waiter::Outcome::timed_out) break;
    }
    CHECK(outcome != Waiter::Outcome::timed_out);
    other.join();
  }
}

TEST_CASE("no wake-up is lost in 200,000 ping-pongs") { CHECK(ping_pong(200'000, true)); }

TEST_CASE("no wake-up is lost without spinning") { CHECK(ping_pong(20'000, false)); }

TEST_CASE("wake_all wakes every parker") {
  constexpr int kParkers = 50;
  constexpr int kRounds = 50;
  Waiter waiter;
  std::atomic<int> round{0};
  std::atomic<bool> lost = false;
  Event woken;
  std::vector<std::thread> parkers;
  for (int p = 0; p < kParkers; ++p) {
    parkers.emplace_back([&] {
      for (int wanted = 1; wanted <= kRounds; ++wanted) {
        for (;;) {
          const Waiter::Ticket ticket = waiter.ticket();
          if (round.load(std::memory_order_acquire) >= wanted) break;
          if (waiter.park(ticket, too_late()) == Waiter::Outcome::timed_out) lost = true;
          if (lost) break;
        }
        woken.happen();
      }
    });
  }
  for (int i = 1; i <= kRounds; ++i) {
    round.store(i, std::memory_order_release);
    waiter.wake_all();
    woken.wait(kParkers * i);
  }
  for (std::thread& parker : parkers) parker.join();
  CHECK_FALSE(lost);
}

TEST_CASE("wake_one wakes somebody for every piece of work") {
  constexpr int kWorkers = 8;
  constexpr int kPieces = 20'000;
  constexpr int kWakers = 2;
  Waiter waiter;
  std::atomic<int> pieces{0};
  std::atomic<int> taken{0};
  std::atomic<bool> lost = false;
  std::vector<std::thread> threads;
  const auto try_take = [&] {
    int available = pieces.load();
    while (available > 0) {
      if (pieces.compare_exchange_weak(available, available - 1)) return true;
    }
    return false;
  };
  for (int w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&] {
      while (!lost) {
        const Waiter::Ticket ticket = waiter.ticket();
        if (try_take()) {
          if (++taken == kWakers * kPieces) waiter.wake_all();
          continue;
        }
        if (taken == kWakers * kPieces) return;
        if (waiter.park(ticket, too_late()) == Waiter::Outcome::timed_out) lost = true;
      }
    });
  }
  for (int w = 0; w < kWakers; ++w) {
    threads.emplace_back([&] {
      for (int i = 0; i < kPieces; ++i) {
        ++pieces;
        waiter.wake_one();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(lost);
  CHECK(taken == kWakers * kPieces);
}

TEST_CASE("spinning gives up after a few microseconds") {
  // The smallest of many: how long it sleeps is the system's affair, this is about the spin itself.
  Waiter waiter;
  auto shortest = Clock::duration::max();
  for (int i = 0; i < 200; ++i) {
    const Clock::time_point begin = Clock::now();
    CHECK(waiter.park(waiter.ticket(), begin + 1us, true) == Waiter::Outcome::timed_out);
    shortest = std::min<Clock::duration>(shortest, Clock::now() - begin);
  }
  CHECK(shortest < 1ms);
}
