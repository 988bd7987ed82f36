// Lock, Semaphore, Barrier and Event from C++.
#include "osthread/sync.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "support.hpp"

using osthread::Barrier;
using osthread::BrokenBarrier;
using osthread::Event;
using osthread::Lock;
using osthread::OSThread;
using osthread::Semaphore;
using namespace std::chrono_literals;

TEST_CASE("a lock keeps C++ and Lua threads out, in the order they came") {
  Lock lock;
  long count = 0;
  const osthread::Value add = osthread::function([&](double by) { count += static_cast<long>(by); });
  std::vector<OSThread> workers;
  for (int i = 0; i < 3; ++i)
    workers.emplace_back("local l, add = ... for i = 1, 2000 do l:acquire() add(1) l:release() end",
                         osthread::Values{lock, add});
  for (int i = 0; i < 2000; ++i) {
    const std::lock_guard guard(lock);
    ++count;
  }
  for (OSThread& worker : workers) (void)worker.result();
  CHECK(count == 8000);
  CHECK_FALSE(lock.locked());
  CHECK_THROWS_AS(lock.release(), std::logic_error);
}

TEST_CASE("the lock of a thread that was killed goes to the next [compiled loop]") {
  if (!osthread::features().kill) return;
  Lock lock;
  const osthread::test::Signal held;
  OSThread holder("local l, f = ... l:acquire() f() while true do end",
                  {lock, osthread::test::Signal(held).value()});
  held.wait();
  CHECK_FALSE(lock.acquire_for(1ms));
  std::jthread next([&] {
    lock.acquire();
    CHECK(lock.abandoned());
    lock.release();
  });
  holder.kill();
  next.join();
  CHECK_FALSE(lock.abandoned());
  holder.join();
}

TEST_CASE("a semaphore never lets more in than it counts") {
  Semaphore semaphore(2);
  std::atomic<int> inside = 0;
  std::atomic<bool> too_many = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 2000; ++n) {
          semaphore.acquire();
          if (++inside > 2) too_many = true;
          --inside;
          semaphore.release();
        }
      });
  }
  CHECK_FALSE(too_many);
  CHECK(semaphore.value() == 2);
}

TEST_CASE("a barrier gives each party its number, round after round") {
  constexpr int kParties = 4;
  Barrier barrier(kParties);
  std::array<std::atomic<int>, kParties> seen{};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kParties; ++i)
      threads.emplace_back([&] {
        for (int round = 0; round < 1000; ++round) ++seen[barrier.wait()];
      });
  }
  CHECK(std::ranges::all_of(seen, [](const auto& count) { return count == 1000; }));
  CHECK_THROWS_AS((void)barrier.wait_for(1ms), BrokenBarrier);
  CHECK(barrier.broken());
  barrier.reset();
  CHECK_FALSE(barrier.broken());
}

TEST_CASE("no thread that waits for an event sleeps through it") {
  for (int round = 0; round < 500; ++round) {
    Event event;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { event.wait(); });
    event.set();
  }
  Event event;
  CHECK_FALSE(event.wait_for(1ms));
}
