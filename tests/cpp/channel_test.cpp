// A channel from C++: order, bounds, ends, and that nothing is lost or doubled.
#include "osthread/channel.hpp"

#include <array>
#include <atomic>
#include <numeric>
#include <thread>

#include "osthread/sync.hpp"
#include "support.hpp"

using osthread::Channel;
using osthread::ChannelClosed;
using osthread::Value;

namespace {

using namespace std::chrono_literals;

// Runs body(i) in `count` threads that begin together.
template <class F>
void run_together(int count, F body) {
  osthread::Barrier start(static_cast<std::size_t>(count));  // that of mingw-w64's libstdc++ may hang
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      start.wait();
      body(i);
    });
}

void wait_for_receivers(const Channel& channel, int count) {
  const auto patience = osthread::Clock::now() + 60s;
  while (channel.statistics().waiting_receivers < count) {
    REQUIRE(osthread::Clock::now() < patience);
    std::this_thread::yield();
  }
}

void wait_for_senders(const Channel& channel, int count) {
  const auto patience = osthread::Clock::now() + 60s;
  while (channel.statistics().waiting_senders < count) {
    REQUIRE(osthread::Clock::now() < patience);
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("a channel keeps the order, and holds as many values as it has capacity for") {
  for (const std::size_t capacity : {1u, 2u, 3u, 5u, 8u, 1000u}) {
    CAPTURE(capacity);
    Channel channel(capacity);
    CHECK(channel.capacity() == capacity);
    for (int lap = 0; lap < 7; ++lap) {
      for (std::size_t i = 0; i < capacity; ++i) {
        CHECK(channel.size() == i);
        CHECK(channel.try_send(i));
      }
      CHECK_FALSE(channel.try_send("too many"));
      CHECK_FALSE(channel.send_for("too many", 1ms));
      CHECK(channel.size() == capacity);
      for (std::size_t i = 0; i < capacity; ++i) CHECK(channel.receive().as<std::size_t>() == i);
      CHECK_FALSE(channel.try_receive());
      CHECK_FALSE(channel.receive_for(1ms));
    }
    CHECK(channel.statistics().sent == 7 * capacity);
    CHECK(channel.statistics().received == 7 * capacity);
  }
}

TEST_CASE("every kind of value goes through a channel") {
  Channel channel;
  const Value shared = Value::array({1, 2});
  const osthread::Values values{
      nullptr, true, 1.5, std::int64_t{1} << 60, "text", std::string(100'000, 'x'), shared, Value(channel)};
  for (const Value& value : values) channel.send(value);
  CHECK(channel.receive().is_nil());
  CHECK(channel.receive().as<bool>());
  CHECK(channel.receive().as<double>() == 1.5);
  CHECK(channel.receive().as<std::int64_t>() == std::int64_t{1} << 60);
  CHECK(channel.receive().as<std::string>() == "text");
  CHECK(channel.receive().as<std::string>().size() == 100'000);
  CHECK(&channel.receive().table() == &shared.table());
  CHECK(channel.receive().as<Channel>() == channel);
  CHECK_THROWS_AS((void)Value(1).as<Channel>(), osthread::ConversionError);
}

TEST_CASE("what was sent before the end is received, then both sides are told") {
  Channel channel(4);
  channel.send(1);
  channel.send(2);
  CHECK(channel.close());
  CHECK_FALSE(channel.close());
  CHECK(channel.closed());
  CHECK_THROWS_AS(channel.send(3), ChannelClosed);
  CHECK_THROWS_AS((void)channel.try_send(3), ChannelClosed);
  std::vector<double> seen;
  for (const Value& value : channel) seen.push_back(value.as<double>());
  CHECK(seen == std::vector<double>{1, 2});
  CHECK_THROWS_AS(channel.receive(), ChannelClosed);
  CHECK_THROWS_AS((void)channel.try_receive(), ChannelClosed);
  CHECK_THROWS_AS((void)channel.receive_for(1h), ChannelClosed);
  CHECK_THROWS_AS((void)channel.receive_many(3), ChannelClosed);
  CHECK(channel.receive_many(0).empty());
}

TEST_CASE("a channel has room for one value at least") { CHECK_THROWS_AS(Channel(0), std::invalid_argument); }

TEST_CASE("values that nobody receives go with the channel") {
  struct Token {};
  const auto token = std::make_shared<Token>();
  {
    Channel channel(3);
    for (int lap = 0; lap < 2; ++lap) {
      channel.send(osthread::function([token](double) {}));
      channel.send(osthread::function([token](double) {}));
      if (lap == 0) (void)channel.receive();
    }
    CHECK(token.use_count() == 4);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("close() wakes whoever waits, at both ends") {
  for (int round = 0; round < 50; ++round) {
    Channel empty;
    Channel full(1);
    full.send(0);
    std::atomic<int> told = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          try {
            (void)empty.receive();
          } catch (const ChannelClosed&) {
            ++told;
          }
        });
        threads.emplace_back([&] {
          try {
            full.send(1);
          } catch (const ChannelClosed&) {
            ++told;
          }
        });
      }
      wait_for_receivers(empty, 3);
      wait_for_senders(full, 3);
      empty.close();
      full.close();
    }
    CHECK(told == 6);
    CHECK(full.size() == 1);
  }
}

TEST_CASE("nothing is lost or doubled among many senders and receivers, and each sender's order is kept") {
  constexpr int kSenders = 4;
  constexpr int kReceivers = 4;
  constexpr int kEach = 20'000;
  for (const std::size_t capacity : {1u, 3u, 64u, 1024u}) {
    CAPTURE(capacity);
    Channel channel(capacity);
    std::array<std::vector<std::vector<int>>, kReceivers> seen;
    std::atomic<int> sending = kSenders;
    run_together(kSenders + kReceivers, [&](int i) {
      if (i < kSenders) {
        for (int n = 0; n < kEach; ++n) channel.send(i * kEach + n);
        if (--sending == 0) channel.close();
        return;
      }
      auto& mine = seen[static_cast<std::size_t>(i - kSenders)];
      mine.resize(kSenders);
      for (const Value& value : channel) {
        const int number = value.as<int>();
        mine[static_cast<std::size_t>(number / kEach)].push_back(number % kEach);
      }
    });
    for (std::size_t sender = 0; sender < kSenders; ++sender) {
      std::vector<int> all;
      for (const auto& mine : seen) {
        CHECK(std::is_sorted(mine[sender].begin(), mine[sender].end()));
        all.insert(all.end(), mine[sender].begin(), mine[sender].end());
      }
      std::sort(all.begin(), all.end());
      std::vector<int> expected(kEach);
      std::iota(expected.begin(), expected.end(), 0);
      CHECK(all == expected);
    }
  }
}

TEST_CASE("no value is lost where waits end in vain while others send") {
  Channel channel(2);
  constexpr int kCount = 20'000;
  std::atomic<long> sum = 0;
  std::atomic<int> received = 0;
  run_together(4, [&](int i) {
    if (i == 0) {
      for (int n = 1; n <= kCount; ++n)
        while (!channel.send_for(n, std::chrono::microseconds(n % 50))) continue;
      channel.close();
      return;
    }
    try {
      for (int n = i;; ++n)
        if (const auto value = channel.receive_for(std::chrono::microseconds(n % 60))) {
          sum += value->as<int>();
          ++received;
        }
    } catch (const ChannelClosed&) {
      return;
    }
  });
  CHECK(received == kCount);
  CHECK(sum == static_cast<long>(kCount) * (kCount + 1) / 2);
}

TEST_CASE("close() in the midst of sending loses nothing that was sent") {
  for (int round = 0; round < 300; ++round) {
    Channel channel(round % 5 + 1u);
    std::atomic<int> sent = 0;
    std::atomic<int> received = 0;
    run_together(5, [&](int i) {
      if (i == 0) {
        for (int spin = 0; spin < round * 20; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
        channel.close();
      } else if (i < 3) {
        try {
          for (;;) {
            channel.send(1);
            ++sent;
          }
        } catch (const ChannelClosed&) {
          return;
        }
      } else {
        for (const Value& value : channel) received += value.as<int>();
      }
    });
    CHECK(sent == received);
  }
}

TEST_CASE("of ten that wait for a hundred values, everyone gets one") {
  Channel channel;
  std::atomic<int> done = 0;
  std::array<std::atomic<int>, 10> seen{};
  std::vector<std::jthread> threads;
  for (auto& mine : seen)
    threads.emplace_back([&] {
      for (const Value& value : channel) {
        mine += value.as<int>();
        ++done;
      }
    });
  for (int i = 0; i < 100; ++i) {
    wait_for_receivers(channel, 10);
    channel.send(1);
    while (done <= i) std::this_thread::yield();
  }
  channel.close();
  threads.clear();
  for (const auto& mine : seen) CHECK(mine >= 1);
}

TEST_CASE("select takes what comes first, fairly, and passes closed channels over") {
  Channel a;
  Channel b;
  const std::array channels{a, b};
  CHECK_FALSE(osthread::select_for(channels, 1ms));
  b.send("b");
  const auto [from, value] = osthread::select(channels);
  CHECK(from == b);
  CHECK(value.as<std::string>() == "b");

  for (int i = 0; i < 100; ++i) {
    a.send(i);
    b.send(i);
  }
  int from_a = 0;
  for (int i = 0; i < 100; ++i) from_a += osthread::select(channels).first == a;
  CHECK(from_a > 20);
  CHECK(from_a < 80);
  a.close();
  for (int i = 0; i < 100; ++i) (void)osthread::select(channels);
  CHECK_FALSE(osthread::select_for(channels, 1ms));
  b.close();
  CHECK_THROWS_AS((void)osthread::select(channels), ChannelClosed);
  CHECK_THROWS_AS((void)osthread::select({}), ChannelClosed);
}

TEST_CASE("selecting threads lose nothing, to each other or to plain receivers") {
  constexpr int kEach = 20'000;
  std::array<Channel, 3> channels{Channel(1), Channel(4), Channel(64)};
  std::atomic<int> received = 0;
  std::atomic<long> sum = 0;
  run_together(8, [&](int i) {
    if (i < 3) {
      Channel& channel = channels[static_cast<std::size_t>(i)];
      for (int n = 1; n <= kEach; ++n) channel.send(n);
      channel.close();
    } else if (i < 6) {
      try {
        for (int n = 0;; ++n)
          if (const auto selected = osthread::select_for(channels, std::chrono::microseconds(n % 100))) {
            sum += selected->second.as<int>();
            ++received;
          }
      } catch (const ChannelClosed&) {
        return;
      }
    } else {
      for (const Value& value : channels[static_cast<std::size_t>(i - 6)]) {
        sum += value.as<int>();
        ++received;
      }
    }
  });
  CHECK(received == 3 * kEach);
  CHECK(sum == 3L * kEach * (kEach + 1) / 2);
}

TEST_CASE("numbers go in bulk") {
  Channel channel(16);
  std::vector<double> numbers(10'000);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  std::jthread sender([&] {
    channel.send_many(numbers);
    channel.close();
  });
  std::vector<double> seen;
  try {
    for (;;)
      for (const Value& value : channel.receive_many(7)) seen.push_back(value.as<double>());
  } catch (const ChannelClosed&) {
    CHECK(seen == numbers);
  }
}

TEST_CASE("numbers sent many at once beside other senders all arrive, those of each sender in order") {
  constexpr int kSenders = 3;
  constexpr int kEach = 20'000;
  for (const std::size_t capacity : {1u, 3u, 64u, 1000u}) {
    CAPTURE(capacity);
    Channel channel(capacity);
    std::array<std::vector<double>, kSenders> received;
    run_together(kSenders + 1, [&](int who) {
      if (who == kSenders) {
        std::array<double, 100> some;
        for (int left = kSenders * kEach; left > 0;) {
          const std::size_t count = channel.receive_many(some);
          for (std::size_t i = 0; i < count; ++i)
            received.at(static_cast<std::size_t>(some.at(i)) / kEach).push_back(some.at(i));
          left -= static_cast<int>(count);
        }
        return;
      }
      std::vector<double> numbers(kEach);
      std::iota(numbers.begin(), numbers.end(), who * kEach);
      if (who == 0)
        for (const double number : numbers) channel.send(number);
      else
        channel.send_many(numbers);
    });
    for (int who = 0; who < kSenders; ++who) {
      std::vector<double> numbers(kEach);
      std::iota(numbers.begin(), numbers.end(), who * kEach);
      CHECK(received.at(static_cast<std::size_t>(who)) == numbers);
    }
    CHECK(channel.statistics().size == 0);
  }
}

TEST_CASE("numbers sent many at once wake as many receivers as they are for") {
  Channel channel(8);
  std::atomic<int> sum{0};
  {
    std::vector<std::jthread> receivers;
    for (int i = 0; i < 4; ++i)
      receivers.emplace_back([&channel, &sum] { sum += static_cast<int>(channel.receive().number()); });
    wait_for_receivers(channel, 4);
    channel.send_many(std::array{1.0, 2.0, 4.0, 8.0});
  }
  CHECK(sum == 15);
}
