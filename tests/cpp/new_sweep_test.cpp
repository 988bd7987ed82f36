// Every operator new of a thread fails once, while values cross between C++ and Lua: what the n-th leads to
// is seen for every n, alone and with all that follow.
#include <cstdlib>
#include <new>
#include <thread>

#include "../../cpp/src/host.hpp"
#include "../../cpp/src/prepared_states.hpp"
#include "../../cpp/src/spare_blocks.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

struct Failure {
  std::size_t in = 0;  // 0: none
  bool all = false;
  long blocks = 0;  // that this thread has, as far as it frees them itself
};
constinit thread_local Failure failure;

bool fails_now() noexcept {
  if (failure.in == 0) return false;
  if (failure.in > 1) {
    --failure.in;
    return false;
  }
  if (!failure.all) failure.in = 0;
  return true;
}

void* allocate(std::size_t size) noexcept {
  if (fails_now()) return nullptr;
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block) ++failure.blocks;
  return block;
}

void* allocate_or_throw(std::size_t size) {
  void* block = allocate(size);
  if (!block) throw std::bad_alloc();
  return block;
}

void release(void* block) noexcept {
  if (block) --failure.blocks;
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) { return allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocate_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { release(block); }

namespace {

void fail_at(std::size_t n, bool all) noexcept {
  failure.in = n;
  failure.all = all;
}

// Whether it was an error of memory.
bool of_memory(const std::exception_ptr& error, std::string& text) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (const std::exception& other) {
    text = other.what();
    return text.find("not enough memory") != std::string::npos || text.find("bad_alloc") != std::string::npos;
  }
}

// Runs `body` with each allocation failing, and `check` after each run, until none is left to fail; `instead`
// is what else it may end with. How many there were.
// Without those that are kept for others, in whose place an allocation could not fail.
long blocks_held() noexcept {
  spare_blocks::give_back();
  return failure.blocks;
}

template <class Body, class Check>
std::size_t sweep(bool all, const char* instead, Body body, Check check) {
  for (std::size_t n = 1;; ++n) {
    CAPTURE(n);
    const long blocks = blocks_held();
    bool through = false;
    {
      std::exception_ptr error;
      fail_at(n, all);
      try {
        body();
      } catch (...) {
        error = std::current_exception();
      }
      through = failure.in > 1;
      fail_at(0, false);
      std::string text;
      if (error && !of_memory(error, text))
        CHECK_MESSAGE((instead && text.find(instead) != std::string::npos), text);
    }
    check(blocks);
    if (through) return n - 1;
  }
}

const char* const kWays[] = {"alone", "with all that follow"};

struct Crossing {
  const char* code;
  const char* instead = nullptr;  // what it ends with if no allocation fails
};

constexpr Crossing kCrossings[] = {
    {"local t, cycle, f, callback, text, big, null = ... "
     "return t, cycle, f, callback, text .. 'x', big, null, {t, t, {cycle, cycle}, f = f, c = callback}"},
    {"local t, cycle, f, callback = ... "
     "local r = callback(t, {cycle, f, callback}, 2LL^61) return r, r, f(1)"},
    {"local callback = select(4, ...) local up = {...} "
     "local function inner() return up, callback, print, string.format end "
     "return inner, function() return inner, osthread end, math.floor"},
    {"local callback = select(4, ...) "
     "local ok, e = pcall(callback, 'raise') if not tostring(e):find('raised by') then error(e, 0) end "
     "return e"},
    {"local callback = select(4, ...) callback('raise')", "raised by the host"},
    {"local t = {1, {2}} t.t = t error(setmetatable(t, {__tostring = function() return 'as text' end}))",
     "as text"},
    {"local function deep(n) if n == 0 then error('bottom of it') end return 1 + deep(n - 1) end deep(150)",
     "bottom of it"},
    {"return {deep = {deeper = {coroutine.create(print)}}}", "can't cross threads"},
    {"local t = {} for i = 1, 40 do t[i] = {i, tostring(i):rep(20), [i .. 'k'] = true} end t[{}] = 1 return "
     "t",
     "can't be a key"},
    {"this is = no lua", "expected"},
    {"function(a, b, ...) return a.list, b, select('#', ...) end"},
    {"error('plain')", "plain"},
    {"local osthread = require 'osthread' local ch, other = osthread.Channel(4), osthread.Channel(1) "
     "ch:send({...}) ch:send(('x'):rep(5000)) ch:send(other) ch:try_send('short') "
     "local from, value = osthread.select(other, ch) "
     "return from, value, ch:receive(), ch:try_receive(), ch:receive(), ch:statistics(), tostring(ch)"},
};

// What crosses, and who else has it.
struct Shared {
  Value callback = function([](const Values& given) -> Values {
    if (given.at(0).type() == Value::Type::string)
      throw std::runtime_error("raised by the host, which has more to say about it");
    return {Value::map({{"args", Value::array(given)}, {"text", std::string(50, 'y')}}), given.back()};
  });
  Value list = Value::array({1, "two, which is long enough for a block", callback, Value::array({3})});
  Value table = Value::map({{"list", list}, {"again", list}});
  Values made = lua("local t = {x = {}} t.t = t t.x.t = t return t, function(n) return n, t end");

  Values args{table, made.at(0), made.at(1), callback, std::string(100, 's'), std::int64_t{1} << 60, nullptr};
  std::uint32_t at_rest = callback.object()->count();

  Shared() { check_all_is_back(); }  // what that makes once is made before the blocks are counted

  void check_all_is_back() const {
    host::wait_until_quiet(Clock::now() + kPatience);  // a thread is joined before its state is gone
    CHECK(callback.object()->count() == at_rest);
  }
};

void check_works(LuaState& state) {
  const Values results =
      state.execute(Code("collectgarbage() collectgarbage() return 42, {...}"), {1, "two"});
  CHECK(as_number(results.at(0)) == 42);
  CHECK(results.at(1).elements().size() == 2);
}

}  // namespace

TEST_CASE("whichever allocation of C++ fails while values cross, nothing is lost and the state goes on") {
  const Shared shared;
  LuaState state;
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    for (const Crossing& crossing : kCrossings) {
      const std::string source = crossing.code;
      CAPTURE(source);
      const Code code(source, "=crossing");
      try {  // once before: what is made once stays
        state.execute(code, shared.args);
      } catch (const std::exception& error) {
        CHECK_MESSAGE(
            (crossing.instead && std::string(error.what()).find(crossing.instead) != std::string::npos),
            error.what());
      }
      check_works(state);
      const std::size_t count = sweep(
          all, crossing.instead, [&] { state.execute(code, shared.args); },
          [&](long before) {
            check_works(state);
            shared.check_all_is_back();
            CHECK(blocks_held() == before);
          });
      CHECK(count > 3);
    }
  }
}

TEST_CASE("whichever allocation of C++ fails while a LuaState is made, set up and dropped, nothing is lost") {
  const Shared shared;
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    const std::size_t count = sweep(
        all, nullptr,
        [&] {
          LuaState state({.time_limit = 1h,
                          .libraries = {"coroutine", "string", "table"},
                          .globals = {{"shared", shared.table}, {"host", shared.callback}},
                          .modules = {{"given", "return {1, 2, 3}"}},
                          .output = [](std::string_view) {}});
          state.set("again", shared.table);
          const Value back = state.get("again");
          state.eval("{again, require 'given', print(host, 'a longer text than fits into a string')}");
          state.execute("function f(...) return ..., host end");
          state.call("f", {back, shared.made.at(1)});
          state.call(shared.made.at(1), {back});
          state.close();
        },
        [&](long) { shared.check_all_is_back(); });
    CHECK(count > 30);
  }
}

TEST_CASE(
    "whichever allocation of C++ fails while a thread is made and asked, nothing is lost [compiled loop]") {
  const Shared shared;
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    const std::size_t count = sweep(
        all, nullptr,
        [&] {
          OSThread thread("local t = ... return t, osthread", {shared.table, shared.made.at(0)},
                          {.time_limit = 1h, .globals = {{"host", shared.callback}}});
          const Values results = thread.result();
          const Value copied = Value::array(results);
          OSThread dropped("return ...", {shared.table}, {.suspended = true});
          OSThread looping("while true do end", {shared.table}, {.on_exit = OnExit::terminate, .grace = 1ms});
          thread.statistics();
        },
        [&](long) { shared.check_all_is_back(); });
    CHECK(count > 30);
  }
}

TEST_CASE("whichever allocation of C++ fails in a thread of ours, its owner is told") {
  const Shared shared;
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    std::size_t left = 0;
    for (std::size_t n = 1; left < 2; ++n) {
      CAPTURE(n);
      REQUIRE(n < 1000);
      left = 0;
      const Value arm = function([n, all]() { fail_at(n, all); });
      const Value disarm = function([&left]() {
        left = failure.in;
        fail_at(0, false);
      });
      OSThread thread(
          "local arm, disarm, t, callback = ... arm() local r = {callback(t, {{t, callback}})} "
          "local ok, e = pcall(callback, 'raise') disarm() arm() return r, t, callback",
          {arm, disarm, shared.table, shared.callback});
      thread.join();
      std::string text;
      if (thread.exception()) CHECK_MESSAGE(of_memory(thread.exception(), text), text);
      if (thread.exception()) left = 0;
    }
    shared.check_all_is_back();
  }
}

TEST_CASE(
    "whichever allocation of C++ fails while a run is left for good, its state is gone [compiled loop]") {
  if (!features().kill) return;
  const Shared shared;
  const char* const overflow = "host({}) local function f() return coroutine.wrap(f)() end f()";
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    std::size_t count = 0;
    // A new thread, as the test framework has put its handler of SIGSEGV over ours.
    std::thread([&] {
      std::unique_ptr<LuaState> state;
      count = sweep(
          all, "overflow",
          [&] {
            state = std::make_unique<LuaState>(StateOptions{.globals = {{"host", shared.callback}}});
            state->execute(overflow);
          },
          [&](long) {
            // It came to nothing before the overflow, and goes on; or it was left, and says so.
            if (state && state->closed())
              CHECK_THROWS_WITH_AS(state->eval("1"), doctest::Contains("closed"), std::logic_error);
            else if (state)
              check_works(*state);
            state.reset();
            shared.check_all_is_back();
          });
    }).join();
    CHECK(count > 10);
  }
}

TEST_CASE("whichever allocation of C++ fails while a state is made ahead, there is none ahead") {
  for (const bool all : {false, true}) {
    CAPTURE(kWays[all]);
    sweep(
        all, nullptr, [] { prepared_states::leave_one(); },
        [](long) { CHECK(prepared_states::take() != nullptr); });
  }
}
