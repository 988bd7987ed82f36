#include "osthread/native_thread.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "event.hpp"

using namespace std::chrono_literals;
using osthread::Clock;
using osthread::NativeThread;
using osthread::NativeThreadOptions;
using osthread::test::Event;

namespace {

using Body = std::function<int()>;

int run_body(void* body) { return (*static_cast<Body*>(body))(); }

int return_parameter(void* parameter) { return *static_cast<int*>(parameter); }

int mark(void* flag) {
  static_cast<std::atomic<bool>*>(flag)->store(true);
  return 1;
}

}  // namespace

TEST_CASE("a thread runs its routine once and keeps what it returned") {
  int number = 21;
  NativeThread thread(return_parameter, &number);
  CHECK(thread.joinable());
  thread.join();
  CHECK_FALSE(thread.joinable());
  CHECK(thread.exit_code() == 21);
}

TEST_CASE("a thread knows the same ident and native id as its owner") {
  std::uintptr_t ident = 0;
  std::uint64_t native_id = 0;
  Body body = [&] {
    ident = osthread::current_ident();
    native_id = osthread::current_native_id();
    return 0;
  };
  NativeThread thread(run_body, &body);
  const std::uint64_t told = thread.native_id();
  thread.join();
  CHECK(thread.ident() == ident);
  CHECK(told == native_id);
  CHECK(thread.native_id() == native_id);  // stays, as in Python
  CHECK(native_id != 0);
  CHECK(native_id != osthread::current_native_id());
  CHECK(thread.native_handle() == 0);
}

TEST_CASE("a suspended thread exists but runs only after start()") {
  std::atomic<bool> ran = false;
  NativeThread thread(mark, &ran, {.suspended = true});
  CHECK(thread.native_id() != 0);
  CHECK_FALSE(thread.join_until(Clock::now()));
  CHECK_FALSE(ran);
  CHECK_THROWS_AS(thread.join(), std::logic_error);
  CHECK_THROWS_AS(thread.detach(), std::logic_error);
  thread.start();
  CHECK_THROWS_AS(thread.start(), std::logic_error);
  CHECK_THROWS_AS(thread.discard(), std::logic_error);
  thread.join();
  CHECK(ran);
  CHECK_THROWS_AS(thread.start(), std::logic_error);
}

TEST_CASE("what was written before start() is there for the routine") {
  for (int i = 0; i < 200; ++i) {
    int number = 0;
    NativeThread thread(return_parameter, &number, {.suspended = true});
    number = i;
    thread.start();
    thread.join();
    REQUIRE(thread.exit_code() == i);
  }
}

TEST_CASE("a discarded thread never runs its routine") {
  std::atomic<bool> ran = false;
  NativeThread thread(mark, &ran, {.suspended = true});
  thread.discard();
  CHECK_FALSE(ran);
  CHECK_FALSE(thread.joinable());
  CHECK_THROWS_AS(thread.exit_code(), std::logic_error);
  CHECK_THROWS_AS(thread.start(), std::logic_error);
}

TEST_CASE("destroying discards a suspended thread and joins a running one") {
  std::atomic<bool> ran = false;
  { const NativeThread suspended(mark, &ran, {.suspended = true}); }
  CHECK_FALSE(ran);
  { const NativeThread running(mark, &ran); }
  CHECK(ran);
}

TEST_CASE("join_until says false while the thread runs and may be tried again") {
  std::promise<void> may_end;
  Body body = [&] {
    may_end.get_future().wait();
    return 7;
  };
  NativeThread thread(run_body, &body);
  CHECK_FALSE(thread.join_until(Clock::time_point::min()));
  const Clock::time_point deadline = Clock::now() + 10ms;
  CHECK_FALSE(thread.join_until(deadline));
  CHECK(Clock::now() >= deadline);
  CHECK(thread.joinable());
  CHECK_THROWS_AS(thread.exit_code(), std::logic_error);
  may_end.set_value();
  CHECK(thread.join_until(Clock::time_point::max()));
  CHECK(thread.exit_code() == 7);
  CHECK_THROWS_AS((void)thread.join_until(Clock::now()), std::logic_error);
}

TEST_CASE("a detached thread goes on without its owner") {
  // Static: nothing tells when a detached thread is gone.
  static Event may_end;
  static Event ended;
  const auto routine = [](void*) {
    may_end.wait();
    ended.happen();
    return 0;
  };
  {
    NativeThread thread(routine, nullptr);
    thread.detach();
    CHECK_FALSE(thread.joinable());
    CHECK(thread.ident() == 0);
    CHECK(thread.native_id() == 0);
    CHECK_THROWS_AS(thread.join(), std::logic_error);
  }
  may_end.happen();
  ended.wait();
}

TEST_CASE("moving passes the thread on, and assigning first joins the one that is replaced") {
  int first = 1;
  int second = 2;
  NativeThread a(return_parameter, &first);
  const std::uintptr_t ident = a.ident();
  NativeThread b(std::move(a));
  CHECK_FALSE(a.joinable());  // NOLINT(bugprone-use-after-move): a moved-from thread is no thread
  CHECK(a.ident() == 0);
  CHECK_THROWS_AS(a.join(), std::logic_error);
  CHECK(b.ident() == ident);

  std::atomic<bool> ran = false;
  NativeThread c(mark, &ran);
  c = std::move(b);
  CHECK(ran);
  c.join();
  CHECK(c.exit_code() == 1);

  NativeThread none;
  CHECK_FALSE(none.joinable());
  CHECK(none.native_id() == 0);
  none = NativeThread(return_parameter, &second);
  none.join();
  CHECK(none.exit_code() == 2);
}

TEST_CASE("a thread that joins itself gets an error, not a deadlock") {
  NativeThread thread;
  std::error_code join_error;
  std::error_code join_until_error;
  std::promise<void> tried;
  Body body = [&] {
    try {
      thread.join();
    } catch (const std::system_error& error) {
      join_error = error.code();
    }
    try {
      (void)thread.join_until(Clock::time_point::max());
    } catch (const std::system_error& error) {
      join_until_error = error.code();
    }
    tried.set_value();
    return 0;
  };
  thread = NativeThread(run_body, &body, {.suspended = true});
  thread.start();
  tried.get_future().wait();
  thread.join();
  CHECK(join_error == std::errc::resource_deadlock_would_occur);
  CHECK(join_until_error == std::errc::resource_deadlock_would_occur);
}

TEST_CASE("a thread that destroys its own NativeThread is detached") {
  static Event destroyed;
  static NativeThread* owned = nullptr;
  const auto routine = [](void*) {
    delete owned;
    destroyed.happen();
    return 0;
  };
  owned = new NativeThread(routine, nullptr, {.suspended = true});
  owned->start();
  destroyed.wait();
}

TEST_CASE("impossible options are refused by name, before there is a thread") {
  std::atomic<bool> ran = false;
  CHECK_THROWS_AS(NativeThread(nullptr, nullptr), std::invalid_argument);
  CHECK_THROWS_AS(NativeThread(mark, &ran, {.stack_size = osthread::kMinimumStackSize - 1}),
                  std::invalid_argument);
  CHECK_THROWS_AS(NativeThread(mark, &ran, {.stack_size = 1}), std::invalid_argument);
  CHECK_THROWS_AS(NativeThread(mark, &ran, {.affinity = {-1}}), std::invalid_argument);
  CHECK_FALSE(ran);
}

TEST_CASE("a thread that the system can't make is a ThreadCreationError with the system's reason") {
  std::atomic<bool> ran = false;
  const std::size_t sizes[] = {std::size_t{1} << 47, std::size_t{1} << 62,
                               std::numeric_limits<std::size_t>::max()};
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    try {
      const NativeThread thread(mark, &ran, {.stack_size = size});
      FAIL("no exception");
    } catch (const osthread::ThreadCreationError& error) {
      CHECK(error.code());
      CHECK(std::string(error.what()) == "can't start a new thread: " + error.code().message());
    }
  }
  CHECK_FALSE(ran);
}

TEST_CASE("a CPU that can't be had is an error, and leaves no thread behind") {
  std::atomic<bool> ran = false;
  for (const int cpu : {1023, 8191, 1'000'000}) {
    CAPTURE(cpu);
    CHECK_THROWS_AS(NativeThread(mark, &ran, {.affinity = {cpu}}), std::system_error);
  }
  CHECK_FALSE(ran);
}

TEST_CASE("many threads at once") {
  std::vector<NativeThread> threads;
  std::atomic<int> count = 0;
  Body body = [&] { return ++count, 0; };
  for (int i = 0; i < 100; ++i) threads.emplace_back(run_body, &body, NativeThreadOptions{.name = "many"});
  for (NativeThread& thread : threads) thread.join();
  CHECK(count == 100);
}
