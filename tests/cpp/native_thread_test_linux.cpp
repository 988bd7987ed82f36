// What only Linux shows, or shows in its own way: names, masks, CPUs, nice values, stacks, fork().

#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "osthread/native_thread.hpp"

using osthread::NativeThread;
using osthread::NativeThreadOptions;
using osthread::Priority;

namespace {

using Body = std::function<int()>;

int run_body(void* body) { return (*static_cast<Body*>(body))(); }

void run_in_thread(Body body, const NativeThreadOptions& options) {
  NativeThread thread(run_body, &body, options);
  thread.join();
}

// The signals of a mask, without those that nobody can block or that glibc keeps to itself.
std::vector<int> blocked_signals(const sigset_t& mask) {
  std::vector<int> blocked;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const bool ordinary = signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal >= SIGRTMIN);
    if (ordinary && sigismember(&mask, signal) == 1) blocked.push_back(signal);
  }
  return blocked;
}

std::vector<int> my_blocked_signals() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return blocked_signals(mask);
}

std::vector<int> signals_blocked_in_a_new_thread() {
  std::vector<int> blocked;
  run_in_thread([&] { return blocked = my_blocked_signals(), 0; }, {});
  return blocked;
}

class SignalMaskGuard {
 public:
  SignalMaskGuard() { pthread_sigmask(SIG_SETMASK, nullptr, &before_); }
  ~SignalMaskGuard() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalMaskGuard(const SignalMaskGuard&) = delete;
  SignalMaskGuard& operator=(const SignalMaskGuard&) = delete;

 private:
  sigset_t before_;
};

std::string name_of_new_thread(const std::string& name) {
  std::array<char, 64> seen{};
  run_in_thread([&] { return pthread_getname_np(pthread_self(), seen.data(), seen.size()); }, {.name = name});
  return seen.data();
}

std::vector<int> my_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

std::ptrdiff_t number_of_threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

// The kernel wakes who joins a thread a moment before it takes the thread out of /proc.
bool comes_down_to(std::ptrdiff_t threads) {
  const auto patience = osthread::Clock::now() + std::chrono::seconds(30);
  while (number_of_threads() > threads && osthread::Clock::now() < patience) sched_yield();
  return number_of_threads() <= threads;
}

}  // namespace

TEST_CASE("a new thread blocks every signal but its own faults and SIGPROF, whatever its creator blocks") {
  sigset_t mask;
  sigfillset(&mask);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF})
    sigdelset(&mask, own);
  const std::vector<int> expected = blocked_signals(mask);

  const SignalMaskGuard guard;
  sigemptyset(&mask);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  CHECK(signals_blocked_in_a_new_thread() == expected);
  CHECK(my_blocked_signals().empty());

  sigfillset(&mask);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  const std::vector<int> everything = my_blocked_signals();
  CHECK(signals_blocked_in_a_new_thread() == expected);
  CHECK(my_blocked_signals() == everything);
}

TEST_CASE("making a thread lets no signal through that the creator blocks") {
  static std::atomic<int> handled;
  handled = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { ++handled; };
  sigaction(SIGPROF, &action, &before);
  {
    const SignalMaskGuard guard;
    sigset_t profiling;
    sigemptyset(&profiling);
    sigaddset(&profiling, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &profiling, nullptr);
    pthread_kill(pthread_self(), SIGPROF);
    run_in_thread([] { return 0; }, {});
    CHECK(handled == 0);
    int taken = 0;
    sigwait(&profiling, &taken);
    CHECK(taken == SIGPROF);
  }
  sigaction(SIGPROF, &before, nullptr);
}

TEST_CASE("a thread bears its name, cut at a character") {
  CHECK(name_of_new_thread("worker-1") == "worker-1");
  CHECK(name_of_new_thread("exactly-fifteen") == "exactly-fifteen");
  CHECK(name_of_new_thread("sixteen-letters!") == "sixteen-letters");
  CHECK(name_of_new_thread("fourteen-bytes\xc3\xa9!") ==
        "fourteen-bytes");  // the e with its accent takes two bytes
  CHECK(name_of_new_thread("thirteen-bytes"
                           "\xf0\x9f\x8c\x99") == "thirteen-bytes");
  CHECK(name_of_new_thread("\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88") ==
        "\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88\xe6\x9c\x88");
}

TEST_CASE("a suspended thread bears its name before it starts") {
  Body body = [] { return 0; };
  NativeThread thread(run_body, &body, {.name = "sleeper", .suspended = true});
  (void)thread.native_id();
  std::array<char, 64> seen{};
  pthread_getname_np(static_cast<pthread_t>(thread.native_handle()), seen.data(), seen.size());
  CHECK(std::string(seen.data()) == "sleeper");
}

TEST_CASE("the ids are pthread_self() and gettid()") {
  Body body = [] { return 0; };
  NativeThread thread(run_body, &body, {.suspended = true});
  CHECK(thread.ident() == thread.native_handle());
  CHECK(std::filesystem::exists("/proc/self/task/" + std::to_string(thread.native_id())));
  CHECK(osthread::current_native_id() == static_cast<std::uint64_t>(gettid()));
  CHECK(osthread::current_ident() == static_cast<std::uintptr_t>(pthread_self()));
}

TEST_CASE("affinity is what was asked for, on CPUs this process has") {
  for (const int cpu : my_cpus()) {
    std::vector<int> seen;
    run_in_thread([&] { return seen = my_cpus(), 0; }, {.affinity = {cpu}});
    CHECK(seen == std::vector<int>{cpu});
  }
  std::vector<int> seen;
  run_in_thread([&] { return seen = my_cpus(), 0; }, {.affinity = my_cpus()});
  CHECK(seen == my_cpus());
}

TEST_CASE("a CPU that is not there is refused, also beside one that is") {
  const std::ptrdiff_t before = number_of_threads();
  std::atomic<bool> ran = false;
  Body body = [&] { return ran = true, 0; };
  for (const std::vector<int>& cpus :
       {std::vector<int>{1000}, {my_cpus().front(), 1000}, {my_cpus().front(), 100'000}}) {
    try {
      const NativeThread thread(run_body, &body, {.affinity = cpus});
      FAIL("no exception");
    } catch (const osthread::ThreadCreationError&) {
      FAIL("a refused CPU is no lack of threads");
    } catch (const std::system_error& error) {
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(std::string(error.what()).find("CPU " + std::to_string(cpus.back())) != std::string::npos);
    }
  }
  CHECK_FALSE(ran);
  CHECK(comes_down_to(before));
}

TEST_CASE("a priority is the thread's own nice value, or none and inherited") {
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
  int low = 0;
  run_in_thread([&] { return low = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())), 0; },
                {.priority = Priority::low});
  CHECK(low == 5);
  CHECK(getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())) == own);

  // A thread that is nice already passes it on; one that may not be less nice is refused.
  run_in_thread(
      [] {
        int inherited = 0;
        run_in_thread([&] { return inherited = getpriority(PRIO_PROCESS, 0), 0; }, {});
        CHECK(inherited == 5);
        return 0;
      },
      {.priority = Priority::low});
}

TEST_CASE("a priority that the system refuses is an error and leaves no thread behind") {
  // In a child that has given up its privileges, so that it works as root too.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int result = 1;
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_NICE, &none) == 0 && (getuid() != 0 || setuid(65534) == 0)) {
      const std::ptrdiff_t before = number_of_threads();
      Body body = [&] { return result = 2; };
      try {
        const NativeThread thread(run_body, &body, {.priority = Priority::high});
      } catch (const osthread::ThreadCreationError&) {
        result = 3;
      } catch (const std::system_error& error) {
        const bool permission = error.code() == std::errc::permission_denied ||
                                error.code() == std::errc::operation_not_permitted;
        if (result == 1 && permission && comes_down_to(before)) result = 0;
      }
    }
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("the stack has the size that was asked for") {
  for (const std::size_t size :
       {osthread::kMinimumStackSize, std::size_t{1} << 20, (std::size_t{1} << 24) + 1}) {
    std::size_t seen = 0;
    run_in_thread(
        [&] {
          pthread_attr_t attributes;
          pthread_getattr_np(pthread_self(), &attributes);
          pthread_attr_getstacksize(&attributes, &seen);
          pthread_attr_destroy(&attributes);
          return 0;
        },
        {.stack_size = size});
    CHECK(seen >= size);
    CHECK(seen <= size + (std::size_t{1} << 20));  // a sanitizer adds its own
  }
}

TEST_CASE("a routine may leave by pthread_exit()") {
  Body body = []() -> int { pthread_exit(nullptr); };
  NativeThread thread(run_body, &body);
  CHECK(thread.join_until(osthread::Clock::time_point::max()));
  CHECK(thread.exit_code() == -1);
}

TEST_CASE("after a fork() the child's object says so and does not wait") {
  Body body = [] { return 0; };
  NativeThread thread(run_body, &body, {.suspended = true});
  const std::uint64_t native_id = thread.native_id();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int right = 0;
    const std::function<void()> operations[] = {
        [&] { thread.join(); }, [&] { (void)thread.join_until(osthread::Clock::time_point::max()); },
        [&] { thread.start(); }, [&] { thread.discard(); }, [&] { thread.detach(); }};
    for (const auto& operation : operations) {
      try {
        operation();
      } catch (const std::system_error& error) {
        if (error.code() == std::errc::no_such_process) ++right;
      }
    }
    if (thread.native_id() == native_id) ++right;
    thread = NativeThread();
    _exit(right == 6 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  thread.start();
  thread.join();
}
