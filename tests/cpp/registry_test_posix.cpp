// Who is alive, and what a fork's child makes of it.
#include "../../cpp/src/registry.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "../../cpp/src/fork.hpp"
#include "../../cpp/src/thread_core.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// Whether `body` says so in a fork's child, which ends by an alarm if it hangs.
bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    bool good = false;
    try {
      good = body();
    } catch (...) {
      good = false;
    }
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) MESSAGE("the child was ended by signal ", WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_listed(const OSThread& thread) {
  for (const auto& core : registry::alive())
    if (core == thread.core()) return true;
  return false;
}

}  // namespace

TEST_CASE("a thread is listed from its start to its end") {
  Gate gate;
  OSThread thread("(...)()", {gate.value()}, {.suspended = true});
  CHECK_FALSE(is_listed(thread));
  thread.start();
  gate.wait_inside();
  CHECK(is_listed(thread));
  gate.open();
  thread.join();
  REQUIRE(registry::wait_until_quiet(Clock::now() + kPatience));
  CHECK_FALSE(is_listed(thread));
}

TEST_CASE("current is the thread whose code calls, and nothing elsewhere") {
  CHECK(registry::current() == nullptr);
  ThreadCore* seen = nullptr;
  OSThread thread("(...)()", {function([&seen] { seen = registry::current(); })}, {.suspended = true});
  thread.start();
  thread.join();
  CHECK(seen == thread.core().get());
}

TEST_CASE("a thread's ident is there for its own first instruction") {
  int zeros = 0;
  for (int i = 0; i < 300; ++i) {
    OSThread thread("return require('osthread').self().ident");
    zeros += thread.result().at(0).as<double>() == 0;
  }
  CHECK(zeros == 0);
}

TEST_CASE("wait_until_quiet tells when nothing of ours runs") {
  Gate gate;
  OSThread thread("(...)()", {gate.value()});
  gate.wait_inside();
  CHECK_FALSE(registry::wait_until_quiet(Clock::now() + 10ms));
  gate.open();
  thread.join();
  CHECK(registry::wait_until_quiet(Clock::now() + kPatience));
}

TEST_CASE("a discarded thread does not keep the process from being quiet") {
  { OSThread thread("return 1", {}, {.suspended = true}); }
  OSThread other("return 1", {}, {.suspended = true});
  CHECK(other.terminate() == Status::stopped);
  CHECK(registry::wait_until_quiet(Clock::now() + kPatience));
}

TEST_CASE("a thread that returns its own handle is freed all the same") {
  std::weak_ptr<ThreadCore> watched;
  {
    OSThread thread("return require('osthread').self()");
    (void)thread.result();
    watched = thread.core();
    REQUIRE(registry::wait_until_quiet(Clock::now() + kPatience));
  }
  CHECK(watched.expired());
}

// ThreadSanitizer does not follow a fork of a process with threads. LuaJIT's assertions ask libgcc about each
// new state's code, under a lock that another thread may hold at the fork.
#if defined(__SANITIZE_THREAD__) || defined(OSTHREAD_LUAJIT_ASSERTS)
#define OSTHREAD_FORK_TEST *doctest::skip(true)
#else
#define OSTHREAD_FORK_TEST
#endif

TEST_CASE("in a fork's child the old threads are lost, and new ones work" OSTHREAD_FORK_TEST) {
  Gate gate;
  OSThread running("(...)()", {gate.value()});
  gate.wait_inside();
  OSThread suspended("return 1", {}, {.suspended = true});
  OSThread ended("return 5");
  ended.join();
  const std::uint32_t generation = fork_generation();
  CHECK(in_child([&] {
    bool good = fork_generation() == generation + 1;
    good = good && running.status() == Status::lost && suspended.status() == Status::lost;
    good = good && !running.is_alive() && !running.interrupt() && !running.request_stop();
    good = good && running.stack().empty() && running.join_for(0s);
    good = good && ended.status() == Status::finished && ended.result().at(0).as<int>() == 5;
    good = good && registry::alive().empty() && registry::wait_until_quiet(Clock::now());
    OSThread fresh("local n = 0 for i = 1, 1e6 do n = n + 1 end return n");
    good = good && fresh.result().at(0).as<double>() == 1e6;
    OSThread limited("while true do end", {}, {.grace = 1ms, .time_limit = 20ms});
    limited.join();
    good = good && limited.status() == Status::failed;
    {
      const OSThread dropped = std::move(running);
      const OSThread dropped_too = std::move(suspended);
    }
    return good;
  }));
  CHECK(running.status() == Status::running);
  CHECK(fork_generation() == generation);
  gate.open();
  running.join();
  CHECK(running.status() == Status::finished);
  suspended.start();
  CHECK(suspended.result().at(0).as<int>() == 1);
}

TEST_CASE("a LuaState that did not run at the fork works on both sides" OSTHREAD_FORK_TEST) {
  LuaState state;
  state.execute("n = 1");
  CHECK(in_child([&] { return state.execute("n = n + 1 return n").at(0).as<int>() == 2; }));
  CHECK(state.eval("n").at(0).as<int>() == 1);
}

TEST_CASE("a LuaState that ran at the fork says so in the child" OSTHREAD_FORK_TEST) {
  LuaState state;
  bool refused = false;
  const Value forks = function([&] {
    refused = in_child([&] {
      try {
        state.eval("1");
      } catch (const std::logic_error&) {
        return true;
      }
      return false;
    });
  });
  state.execute("(...)()", {forks});
  CHECK(refused);
  CHECK(state.eval("1").at(0).as<int>() == 1);
}

TEST_CASE("forks beside busy threads leave children that work" OSTHREAD_FORK_TEST) {
  std::vector<OSThread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back("local o = require 'osthread' while not o.stop_requested() do o.sleep(1e-4) end");
  bool all = true;
  for (int i = 0; i < 20; ++i)
    all = all && in_child([&] {
            (void)threads[0].statistics();
            (void)threads[0].native_id();
            threads.clear();
            OSThread fresh("return 1");
            return fresh.result().at(0).as<int>() == 1;
          });
  CHECK(all);
}
