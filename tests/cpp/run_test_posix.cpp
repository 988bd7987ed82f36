// The signal that carries a stop, among other people's handlers and masks.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "../../cpp/src/interrupt.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

std::atomic<int> others_calls{0};
struct sigaction before_others {};

void other_handler(int number, siginfo_t* info, void* context) {
  ++others_calls;
  // As well-behaved code does: whoever was there before gets the signal too.
  if (before_others.sa_flags & SA_SIGINFO)
    before_others.sa_sigaction(number, info, context);
  else if (before_others.sa_handler != SIG_DFL && before_others.sa_handler != SIG_IGN)
    before_others.sa_handler(number);
}

void check_stops() {
  Signal started;
  OSThread thread("(...)() while true do end", {started.value()}, {.grace = 1ms});
  started.wait();
  thread.interrupt();
  REQUIRE(thread.join_for(kPatience));
  CHECK(thread.status() == Status::stopped);
}

}  // namespace

TEST_CASE("a handler put over ours is chained to; one that chains to ours does no harm [compiled loop]") {
  check_stops();  // ours is in place
  struct sigaction other {};
  other.sa_sigaction = other_handler;
  other.sa_flags = SA_SIGINFO;
  const int number = interrupt::signal_number();
  sigaction(number, &other, &before_others);
  others_calls = 0;
  check_stops();
  CHECK(others_calls > 0);
  // Taken away altogether: ours comes back.
  struct sigaction none {};
  none.sa_handler = SIG_IGN;
  sigaction(number, &none, nullptr);
  check_stops();
  none.sa_handler = SIG_DFL;
  sigaction(number, &none, nullptr);
  check_stops();
}

TEST_CASE("a creator that blocks every signal makes threads that can be stopped [compiled loop]") {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  check_stops();
  std::thread fresh([] {  // one that has not run Lua before
    LuaState state({.grace = 1ms, .time_limit = 20ms});
    CHECK_THROWS_AS(state.execute("while true do end"), LuaTimeout);
  });
  fresh.join();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("an interrupt makes a blocking system call return") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Signal started;
  OSThread thread(
      "local f, fd = ... local ffi = require 'ffi' ffi.cdef 'long read(int fd, void *to, size_t size);' "
      "local to = ffi.new 'char[1]' f() while true do ffi.C.read(fd, to, 1) end",
      {started.value(), ends[0]}, {.grace = 1ms});
  started.wait();
  thread.interrupt();
  CHECK(thread.join_for(kPatience));
  CHECK(thread.status() == Status::stopped);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a stray signal does nothing, in Lua or outside") {
  const Value raises = function([] { raise(interrupt::signal_number()); });
  raise(interrupt::signal_number());
  CHECK(lua("local f, n = ..., 0 for i = 1, 1000 do f() n = n + 1 end return n", {raises}).at(0).as<int>() ==
        1000);
  CHECK(lua("return debug.gethook() == nil").at(0).as<bool>());
}
