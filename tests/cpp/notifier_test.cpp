// Waits that no thread sleeps in: who hears of them, and when no longer.
#include "../../cpp/src/notifier.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "../../cpp/src/host.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// What the host was told of.
std::mutex mutex;
std::vector<Notifier::Key> reported;

void report(std::span<const Notifier::Key> keys) noexcept {
  const std::lock_guard lock(mutex);
  reported.insert(reported.end(), keys.begin(), keys.end());
}

std::vector<Notifier::Key> wait_for_reports(std::size_t count) {
  const Clock::time_point patience = Clock::now() + kPatience;
  for (;;) {
    {
      const std::lock_guard lock(mutex);
      if (reported.size() >= count) return std::exchange(reported, {});
    }
    REQUIRE(Clock::now() < patience);
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("the notifier tells the host of waits in the order they were told, and of each once") {
  Notifier::set_report(&report);
  WaitList list;
  std::deque<Notifier::Entry> entries;
  constexpr Notifier::Key kCount = 5000;  // several batches
  for (Notifier::Key key = 0; key < kCount; ++key) list.join(entries.emplace_back(key));
  CHECK(list.size() == kCount);
  for (Notifier::Key key = 0; key < kCount / 2; ++key) list.tell_one();
  list.tell_all();
  list.tell_all();
  const std::vector<Notifier::Key> keys = wait_for_reports(kCount);
  CHECK(keys.size() == kCount);
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  for (Notifier::Entry& entry : entries) list.leave(entry, true);
  CHECK(list.size() == 0);
}

TEST_CASE("waits may go while they are told") {
  Notifier::set_report(&report);
  WaitList list;
  std::atomic<bool> stop{false};
  std::jthread teller([&] {
    while (!stop.load()) list.tell_one();
  });
  for (int i = 0; i < 20'000; ++i) {
    Notifier::Entry entry(1);
    list.join(entry);
    if (i % 3 == 0) list.again(entry);
    list.leave(entry, i % 2 == 0);
  }
  stop.store(true);
  teller.join();
  Notifier::Entry last(2);
  list.join(last);
  list.tell_one();
  for (std::vector<Notifier::Key> keys; keys.empty() || keys.back() != 2;) keys = wait_for_reports(1);
  list.leave(last, true);
}

TEST_CASE("a thread gets what a wait was told of that no thread sleeps in, and that leaves") {
  Notifier::set_report(&report);
  Channel channel;
  Channel other;
  host::AsyncWait wait(3, {other, channel}, host::AsyncWait::For::value);
  CHECK(channel.statistics().waiting_receivers == 1);
  CHECK_FALSE(wait.again());
  Value received;
  std::jthread receiver([&] { received = channel.receive(); });
  while (channel.statistics().waiting_receivers < 2) std::this_thread::yield();
  channel.send(5);
  CHECK(wait_for_reports(1) == std::vector<Notifier::Key>{3});
  SUBCASE("") { wait.leave(std::nullopt); }
  SUBCASE("having used another of its lines") { wait.leave(0); }
  receiver.join();
  CHECK(received.as<int>() == 5);
  CHECK(channel.statistics().waiting_receivers == 0);
  CHECK(other.statistics().waiting_receivers == 0);
}

TEST_CASE("of several channels, the one that has something is tried, fairly, without waiting") {
  std::vector<Channel> channels{Channel(), Channel()};
  Value value;
  std::size_t at = 0;
  CHECK_FALSE(host::try_select(channels, value, at));
  channels[0].close();
  CHECK_FALSE(host::try_select(channels, value, at));
  channels[1].send(7);
  CHECK(host::try_select(channels, value, at) == host::Passed::done);
  CHECK(at == 1);
  CHECK(value.as<int>() == 7);
  channels[1].close();
  CHECK(host::try_select(channels, value, at) == host::Passed::closed);
}

TEST_CASE("an errand is done on another thread, soon") {
  static std::atomic<std::thread::id> done_by{};
  Notifier::call_soon([]() noexcept { done_by = std::this_thread::get_id(); });
  const Clock::time_point patience = Clock::now() + kPatience;
  while (done_by.load() == std::thread::id()) {
    REQUIRE(Clock::now() < patience);
    std::this_thread::yield();
  }
  CHECK(done_by.load() != std::this_thread::get_id());
}
