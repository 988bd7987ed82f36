// Numbers from thread to thread: a stream of them, and one that goes to and fro.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <osthread/osthread.hpp>
#include <vector>

#include "floor/mutex_queue.hpp"
#include "measure.hpp"
#include "run.hpp"

namespace {

using namespace benchmark;
using osthread::Channel;
using Works = std::vector<std::function<void()>>;

constexpr std::size_t kCapacity = Channel::kDefaultCapacity;

// --- A stream: each of `pairs` senders sends `count` numbers, each of as many receivers takes as many. ---

constexpr const char* kSender = "local channel, count = ... for i = 1, count do channel:send(i) end";
constexpr const char* kReceiver =
    "local channel, count = ... local sum = 0 for _ = 1, count do sum = sum + channel:receive() end return "
    "sum";

double millions_per_second(int pairs, int count, double microseconds) { return pairs * count / microseconds; }

double lua_stream(int pairs, int count) {
  const Channel channel(kCapacity);
  std::vector<osthread::OSThread> threads;
  for (int i = 0; i < pairs; ++i) {
    threads.push_back(suspended(kReceiver, {channel, count}));
    threads.push_back(suspended(kSender, {channel, count}));
  }
  return millions_per_second(pairs, count, microseconds_of(std::move(threads)));
}

// `queue`: a Channel, or what has the same functions.
template <class Queue>
double cpp_stream(int pairs, int count) {
  Queue queue(kCapacity);
  Works works;
  for (int i = 0; i < pairs; ++i) {
    works.emplace_back([&queue, count] {
      for (int n = 0; n < count; ++n) queue.receive();
    });
    works.emplace_back([&queue, count] {
      for (int n = 1; n <= count; ++n) queue.send(static_cast<double>(n));
    });
  }
  return millions_per_second(pairs, count, microseconds_of(works));
}

void stream_rows(int times) {
  Samples ours, cpp, mutex, ours_of_four, cpp_of_four, mutex_of_four;
  for (int i = 0; i < times; ++i) {
    ours.add(lua_stream(1, 4'000'000));
    cpp.add(cpp_stream<Channel>(1, 4'000'000));
    mutex.add(cpp_stream<MutexQueue>(1, 500'000));
    ours_of_four.add(lua_stream(4, 500'000));
    cpp_of_four.add(cpp_stream<Channel>(4, 500'000));
    mutex_of_four.add(cpp_stream<MutexQueue>(4, 100'000));
  }
  const char* what = "Lua: numbers, one to one";
  print_row(what, ours.median(), "M/s", "the same Channel in C++", cpp.median(), ">= 0.7");
  print_row(what, ours.median(), "M/s", "C++ mutex, deque", mutex.median(), ">= 1");
  what = "Lua: numbers, four to four";
  print_row(what, ours_of_four.median(), "M/s", ">= 5");
  print_row(what, ours_of_four.median(), "M/s", "the same Channel in C++", cpp_of_four.median(), "");
  print_row(what, ours_of_four.median(), "M/s", "C++ mutex, deque", mutex_of_four.median(), ">= 1");
}

// --- To and fro. ---

constexpr int kTrips = 20'000;
constexpr const char* kCaller =
    "local there, back, count = ... for i = 1, count do there:send(i) back:receive() end";
constexpr const char* kAnswerer =
    "local there, back, count = ... for _ = 1, count do back:send(there:receive()) end";

double lua_trip() {
  const Channel there, back;
  std::vector<osthread::OSThread> threads;
  threads.push_back(suspended(kAnswerer, {there, back, kTrips}));
  threads.push_back(suspended(kCaller, {there, back, kTrips}));
  return microseconds_of(std::move(threads)) / kTrips;
}

double cpp_trip() {
  Channel there, back;
  const Works works{[&there, &back] {
                      for (int i = 0; i < kTrips; ++i) back.send(there.receive());
                    },
                    [&there, &back] {
                      for (int i = 0; i < kTrips; ++i) {
                        there.send(i);
                        back.receive();
                      }
                    }};
  return microseconds_of(works) / kTrips;
}

// The least with condition variables: one word that says whose turn it is.
double condition_trip() {
  std::mutex mutex;
  std::condition_variable changed;
  int turn = 0;
  const auto take_turns = [&mutex, &changed, &turn](int own) {
    for (int i = 0; i < kTrips; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&turn, own] { return turn == own; });
      turn = 1 - own;
      lock.unlock();
      changed.notify_one();
    }
  };
  const Works works{[&take_turns] { take_turns(1); }, [&take_turns] { take_turns(0); }};
  return microseconds_of(works) / kTrips;
}

void trip_rows(int times) {
  Samples ours, cpp, condition;
  for (int i = 0; i < times; ++i) {
    ours.add(lua_trip());
    cpp.add(cpp_trip());
    condition.add(condition_trip());
  }
  const char* what = "Lua: there and back";
  print_row(what, ours.median(), "us", "the same Channels in C++", cpp.median(), "<= 1.3");
  print_row(what, ours.median(), "us", "C++ condition variable", condition.median(), "<= 1.3");
}

}  // namespace

int main(int argc, char** argv) {
  const int times = rounds(argc, argv, 11);
  stream_rows(times);
  trip_rows(times);
}
