// Every allocation of a state fails once: what the n-th leads to is seen for every n, alone and with all that
// follow. Each run ends as it would have, or as one of memory; nothing leaks, and the state goes on.
//
// LuaJIT makes its states before the counting begins: it crashes if an allocation fails in there
// (LuaJIT #1248).
#include <filesystem>
#include <fstream>
#include <new>
#include <string_view>

#include "../../cpp/src/finalizer_errors.hpp"
#include "../../cpp/src/interpreter.hpp"
#include "../../cpp/src/owned_threads.hpp"
#include "../../cpp/src/prepared_states.hpp"
#include "../../cpp/src/state_end.h"
#include "allocation_sweep_scripts.hpp"
#include "support.hpp"

// Thousands of errors out of machine code: more than ThreadSanitizer's own stack of calls, which they skip,
// can take.
#if defined(__SANITIZE_THREAD__)
#define OSTHREAD_SWEEP doctest::skip(true)
#else
#define OSTHREAD_SWEEP doctest::skip(false)
#endif

using namespace osthread;
using namespace osthread::test;
using Failing = MemoryQuota::Failing;

namespace {

// What a run may leave behind for good: memory of the C++ runtime's, or of the tests'.
constexpr int kFewMappings = 40;

// Under Wine there is a /proc, too: it tells of Wine itself.
constexpr bool kHasProc = std::filesystem::path::preferred_separator == '/';

int mappings() {
  if (!kHasProc) return 0;
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

int descriptors() {
  if (!kHasProc) return 0;
  std::error_code none;
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", none))
    count += !entry.path().empty();
  return count;
}

// A stop that nobody asks for.
struct Unstopped {
  Unstopped() {
    stop->open();
    stop->bind(interrupt::this_thread());
  }
  ~Unstopped() { stop->close(); }
  const std::shared_ptr<Stop> stop = std::make_shared<Stop>(100ms);
};

// What the host and a state share, seen from the host.
struct Shared {
  Value callback = function([](const Values& args) -> Values {
    if (args.at(0).type() == Value::Type::string) throw std::runtime_error("raised by the host");
    return args;
  });
  Value table = Value::map({{"x", 1}, {"list", Value::array({1, "two", callback})}});

  StateOptions options() const {
    return {.memory_limit = 64 << 20,
            .globals = {{"shared", table}, {"host", callback}, {"big", std::int64_t{1} << 60}},
            .modules = {{"given", "local m = {} function m.double(x) return x * 2 end return m"}},
            .output = [](std::string_view) {}};
  }
  Values args() const { return {Value::map({{"deep", Value::array({table, table})}}), callback}; }
  void check_all_is_back() const { CHECK(callback.object()->count() == 2); }  // here, and in the table
};

enum class End { success, memory, other };

End end_of(const std::exception_ptr& error, std::string& text) {
  if (!error) return End::success;
  try {
    std::rethrow_exception(error);
  } catch (const LuaMemoryError&) {
    return End::memory;
  } catch (const std::bad_alloc&) {
    return End::memory;
  } catch (const std::exception& other) {
    text = other.what();
    return End::other;
  }
}

void check_end(const std::exception_ptr& error, const char* instead) {
  std::string text;
  if (end_of(error, text) != End::other) return;
  CHECK_MESSAGE((instead && text.find(instead) != std::string::npos), text);
}

Outcome run(Interpreter& interpreter, const Code& code, const Values& args) {
  const Unstopped unstopped;
  Outcome outcome;
  try {
    interpreter.compile(code);
    outcome = interpreter.run(args, *unstopped.stop);
  } catch (const std::exception&) {
    outcome.error = std::current_exception();
  }
  return outcome;
}

void check_works(Interpreter& interpreter) {
  const Outcome outcome = run(interpreter,
                              Code("local t = {} for i = 1, 100 do t[i] = 'x' .. i end "
                                   "collectgarbage() return #t, select(2, pcall(error, 'e', 0))"),
                              {});
  std::string text;
  CHECK_MESSAGE(end_of(outcome.error, text) == End::success, text);
  if (!outcome.error) CHECK(as_number(outcome.results.at(0)) == 100);
}

// How many allocations there were.
std::size_t sweep(const SweepScript& script, Failing failing) {
  const Shared shared;
  const Code code(std::string(kSweepPrelude) + script.code, "=sweep");
  for (std::size_t n = 1;; ++n) {
    CAPTURE(n);
    if (n > 1) shared.check_all_is_back();
    Interpreter interpreter(shared.options(), "sweep");
    MemoryQuota& quota = interpreter.vm().quota();
    quota.fail_at(n, failing);
    check_end(run(interpreter, code, shared.args()).error, script.instead);
    const bool through = quota.fails_in() > 1;
    if (through) return n - 1;
    // The end of a state that has no memory is as good as any other.
    if (failing == Failing::all && n % 2 == 0) continue;
    quota.fail_at(0);
    check_works(interpreter);
  }
}

// What is left until the failure, at the end.
std::size_t set_up_and_ask(const Shared& shared) {
  StateOptions options = shared.options();
  options.libraries = {"coroutine", "string", "table"};
  Interpreter interpreter(options, "sweep");
  interpreter.compile(Code("function(...) return { require 'given'.double(2), shared, host, big }, ... end"));
  const Value compiled = interpreter.compiled();
  interpreter.set_global("f", compiled);
  const Value back = interpreter.global("shared");
  const Unstopped unstopped;
  const Outcome outcome = interpreter.run_global("f", Values{back, compiled}, *unstopped.stop);
  if (outcome.error) std::rethrow_exception(outcome.error);
  CHECK(outcome.results.size() == 3);
  return interpreter.vm().quota().fails_in();
}

// Finalizers fail as well, and threads lose their owners, which nobody is told of here.
struct Silence {
  Silence() {
    set_finalizer_error_reporter([](const std::exception_ptr&, const char*) noexcept { return true; });
    set_lost_thread_reporter([](ThreadCore&, bool) noexcept {});
  }
  ~Silence() {
    set_finalizer_error_reporter(nullptr);
    set_lost_thread_reporter(nullptr);
  }
};

}  // namespace

TEST_CASE("whichever allocation fails while a state is made, set up and asked, nothing is lost" *
          OSTHREAD_SWEEP) {
  if (!osthread_has_arena()) return;
  // States made ahead are not made here: those that other tests have left are used up first.
  std::vector<std::unique_ptr<Vm>> taken;
  for (const auto end = Clock::now() + 50ms; Clock::now() < end;) taken.push_back(prepared_states::take());
  taken.clear();
  const int maps = mappings();
  for (const Failing failing : {Failing::one, Failing::all}) {
    CAPTURE(failing);
    const Shared shared;
    for (std::size_t n = 1;; ++n) {
      CAPTURE(n);
      std::size_t left = 0;
      MemoryQuota::fail_next_state_at(n, failing);
      try {
        left = set_up_and_ask(shared);
      } catch (const std::exception&) {
        check_end(std::current_exception(), nullptr);
      }
      MemoryQuota::fail_next_state_at(0);
      shared.check_all_is_back();
      if (left > 1) {
        CHECK(n > 100);
        break;
      }
    }
  }
  CHECK(mappings() <= maps + kFewMappings);
}

TEST_CASE("whichever allocation of a chunk fails, it ends as one of memory, and the state goes on" *
          OSTHREAD_SWEEP) {
  if (!osthread_has_arena()) return;
  const Silence silent;
  for (const Failing failing : {Failing::one, Failing::all}) {
    CAPTURE(failing);
    for (const SweepScript& script : kSweepScripts) {
      const std::string name = script.name;
      CAPTURE(name);
      const int files = descriptors();
      // The first time the C++ runtime and the sanitizers keep what they make: arenas, stacks of threads.
      CHECK(sweep(script, failing) > 10);
      const int maps = mappings();
      CHECK(sweep(script, failing) > 10);
      CHECK(descriptors() == files);
      CHECK(mappings() <= maps + kFewMappings);
    }
  }
}
