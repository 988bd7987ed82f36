#include "osthread/lua_pool.hpp"

#include <algorithm>
#include <numeric>
#include <thread>

#include "osthread/sync.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

constexpr const char* kSquare = "function(x) return x * x end";

PoolOptions with_workers(std::size_t count, ThreadOptions threads = {}) {
  return {.max_workers = count, .threads = std::move(threads)};
}

std::vector<Values> numbers(int count) {
  std::vector<Values> lists;
  for (int i = 0; i < count; ++i) lists.push_back({i});
  return lists;
}

double number_of(const LuaTask& task) { return as_number(task.get().at(0)); }

}  // namespace

TEST_CASE("tasks give their results, whatever these are") {
  LuaPool pool(with_workers(2));
  CHECK(number_of(pool.submit("function(a, b) return a + b end", {1, 2})) == 3);
  CHECK(pool.submit("").get().empty());
  const Values several = pool.submit("return ..., 'x', {5}", {1}).get();
  REQUIRE(several.size() == 3);
  CHECK(as_text(several[1]) == "x");
  CHECK(as_number(several[2].elements().at(0)) == 5);
  CHECK(number_of(pool.submit(compile_function("return ... * 2"), {4})) == 8);
}

TEST_CASE("a task may be asked for its results again and again, by copies of its handle") {
  LuaPool pool(with_workers(1));
  const LuaTask task = pool.submit(kSquare, {3});
  const LuaTask copy = task;
  CHECK(number_of(task) == 9);
  CHECK(number_of(copy) == 9);
  CHECK(copy.status() == TaskStatus::finished);
  CHECK(std::string(to_string(copy.status())) == "finished");
}

TEST_CASE("errors come out of get(), and the pool goes on") {
  LuaPool pool(with_workers(1, {.grace = 1ms}));
  CHECK_THROWS_AS(pool.submit("x ="), LuaSyntaxError);
  const LuaTask failed = pool.submit("error('oops')");
  CHECK_THROWS_WITH_AS(failed.get(), "[string \"error('oops')\"]:1: oops", LuaError);
  CHECK(failed.status() == TaskStatus::failed);
  const LuaTask host = pool.submit("(...)()", {function([]() -> double { throw std::range_error("mine"); })});
  CHECK_THROWS_WITH_AS(host.get(), "mine", std::range_error);
  CHECK(number_of(pool.submit(kSquare, {3})) == 9);
}

TEST_CASE("map is in order; its first error cancels the rest") {
  LuaPool pool(with_workers(2));
  for (const std::size_t chunk : {1, 7, 5000}) {
    const std::vector<Values> squares = pool.map(kSquare, numbers(1000), chunk);
    REQUIRE(squares.size() == 1000);
    for (int i = 0; i < 1000; ++i) CHECK(as_number(squares[static_cast<std::size_t>(i)].at(0)) == i * i);
  }
  CHECK(pool.map(kSquare, {}).empty());
  CHECK_THROWS_AS(pool.map(kSquare, {{1}, {1, 2}}), std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      pool.map("function(i) if i == 500 then error('here', 0) end return i end", numbers(1000)), "here",
      LuaError);
  CHECK(number_of(pool.submit(kSquare, {3})) == 9);
}

TEST_CASE("map_array has kernels work at slices of the same memory") {
  for (const char* libraries : {"all", "safe"}) {
    LuaPool pool(with_workers(2, {.libraries = {libraries}}));
    const SharedBuffer x(DType::float64, {1001});
    SharedBuffer out(DType::float64, {1001});
    std::iota(x.elements<double>().begin(), x.elements<double>().end(), 0.0);
    const std::vector<Values> ends =
        pool.map_array("function(x, out, i, j, a) for k = i, j - 1 do out[k] = a * x[k] end return j end",
                       {x}, {.out = out, .args = {3}});
    CHECK(ends.size() == 32);
    CHECK(as_number(ends.back().at(0)) == 1001);
    for (std::size_t i = 0; i < 1001; ++i) CHECK(out.elements<double>()[i] == 3.0 * static_cast<double>(i));
    CHECK(pool.map_array("return 1", {x}, {.chunk = 500}).size() == 3);
    CHECK_THROWS_AS(pool.map_array("return 1", {}), std::invalid_argument);
    CHECK_THROWS_AS(pool.map_array("return 1", {x, SharedBuffer(DType::int8, {5})}), std::invalid_argument);
    CHECK_THROWS_AS(pool.map_array("error('x')", {x}), LuaError);
  }
}

TEST_CASE("what map_array was lent has been given back when it returns") {
  LuaPool pool(with_workers(2));
  std::vector<double> memory(1000);
  for (int i = 0; i < 200; ++i) {
    auto owner = std::make_shared<int>(0);
    {
      const SharedBuffer lent(memory.data(), DType::float64, {memory.size()}, owner);
      pool.map_array("function(a, i, j) for k = i, j - 1 do a[k] = a[k] + 1 end end", {lent});
    }
    CHECK(owner.use_count() == 1);
  }
  CHECK(std::all_of(memory.begin(), memory.end(), [](double x) { return x == 200; }));
}

TEST_CASE("states last, unless tasks_per_state bounds them; setup runs in each") {
  {
    LuaPool pool({.max_workers = 1, .setup = "n = 10"});
    for (int i = 1; i <= 3; ++i) CHECK(number_of(pool.submit("n = n + 1 return n")) == 10 + i);
    CHECK(pool.statistics().states == 1);
  }
  LuaPool pool({.max_workers = 1, .setup = "n = 10", .tasks_per_state = 1});
  for (int i = 1; i <= 3; ++i) CHECK(number_of(pool.submit("n = n + 1 return n")) == 11);
  for (const Values& result : pool.map("n = n + 1 return n", numbers(5)))
    CHECK(as_number(result.at(0)) == 11);
}

TEST_CASE("a setup that fails breaks the pool; one that does not compile makes none") {
  CHECK_THROWS_AS(LuaPool({.setup = "x ="}), LuaSyntaxError);
  LuaPool pool({.max_workers = 2, .setup = "error('no luck')"});
  const LuaTask task = pool.submit(kSquare, {1});
  try {
    task.get();
    FAIL("it has run");
  } catch (const BrokenPool& error) {
    CHECK_THROWS_AS(std::rethrow_exception(error.cause()), LuaError);
  }
  CHECK_THROWS_AS(pool.submit(kSquare, {1}), BrokenPool);
  CHECK_THROWS_AS(pool.map(kSquare, numbers(3)), BrokenPool);
}

TEST_CASE("options that only one thread can have are refused") {
  CHECK_THROWS_AS(LuaPool(with_workers(1, {.suspended = true})), std::invalid_argument);
  CHECK_THROWS_AS(LuaPool(with_workers(1, {.on_exit = OnExit::detach})), std::invalid_argument);
  CHECK_THROWS_AS(LuaPool(with_workers(1, {.notify = Channel(1)})), std::invalid_argument);
  CHECK_THROWS_AS(LuaPool(with_workers(1, {.memory_limit = 1})), std::invalid_argument);
  CHECK_THROWS_AS(LuaPool(with_workers(1, {.libraries = {"nothing"}})), std::invalid_argument);
}

TEST_CASE("a time limit ends a task alone, and only a kill some of them [compiled loop]") {
  LuaPool pool(with_workers(2, {.grace = 1ms, .time_limit = 50ms}));
  const LuaTask loop = pool.submit("while true do end");
  const LuaTask find = pool.submit("return ('a'):rep(200):find(('a*'):rep(16) .. 'b')");
  CHECK(number_of(pool.submit(kSquare, {3})) == 9);
  CHECK_THROWS_AS(loop.get(), LuaTimeout);
  CHECK_THROWS_AS(find.get(), LuaTimeout);
  for (const Values& result : pool.map(kSquare, numbers(100))) CHECK(result.size() == 1);
}

TEST_CASE("cancel() takes a task from the queue, or stops its code [compiled loop]") {
  LuaPool pool(with_workers(1, {.grace = 1ms}));
  for (const char* code :
       {"(...)() while true do end", "(...)() while true do pcall(function() while true do end end) end",
        "(...)() return ('a'):rep(200):find(('a*'):rep(16) .. 'b')"}) {
    CAPTURE(code);
    Signal signal;
    LuaTask running = pool.submit(code, {signal.value()});
    signal.wait();
    LuaTask queued = pool.submit(kSquare, {1});
    CHECK(running.status() == TaskStatus::running);
    CHECK(queued.status() == TaskStatus::queued);
    CHECK(queued.cancel());
    CHECK(queued.status() == TaskStatus::cancelled);
    CHECK_THROWS_AS(queued.get(), TaskCancelled);
    CHECK_FALSE(queued.cancel());
    CHECK(running.cancel());
    CHECK_THROWS_AS(running.get(), Stopped);
    CHECK_FALSE(running.cancel());
    CHECK(number_of(pool.submit(kSquare, {3})) == 9);
  }
}

TEST_CASE("a wait for a task has an end") {
  LuaPool pool(with_workers(1));
  Gate gate;
  const LuaTask task = pool.submit("(...)() return 1", {gate.value()});
  gate.wait_inside();
  CHECK_FALSE(task.wait_for(1ms));
  CHECK_FALSE(task.done());
  gate.open();
  CHECK(task.wait_for(kPatience));
  CHECK(number_of(task) == 1);
}

TEST_CASE("cancelling from other threads hits no other task, and every task ends") {
  LuaPool pool(with_workers(3, {.grace = 1ms}));
  const char* const code = "function(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end";
  const double expected = number_of(pool.submit(code, {3000}));
  std::vector<LuaTask> tasks;
  for (int i = 0; i < 600; ++i) tasks.push_back(pool.submit(code, {3000}));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t)
    threads.emplace_back([&tasks, t] {
      for (std::size_t i = t; i < tasks.size(); i += 6) tasks[i].cancel();
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    CAPTURE(i);
    try {
      const double result = number_of(tasks[i]);
      CHECK(result == expected);
    } catch (const TaskCancelled&) {
      CHECK(i % 6 < 3);
    } catch (const Stopped&) {
      CHECK(i % 6 < 3);
    }
  }
  const PoolStatistics now = pool.statistics();
  CHECK(now.finished + now.failed + now.cancelled == 601);
}

TEST_CASE("threads that submit, wait and map at once all get their own results") {
  LuaPool pool(with_workers(3));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        if (number_of(pool.submit("function(a, b) return a * 1000 + b end", {t, i})) != t * 1000 + i) ++wrong;
        const std::vector<Values> squares = pool.map(kSquare, numbers(10 + i));
        for (std::size_t k = 0; k < squares.size(); ++k)
          if (as_number(squares[k].at(0)) != static_cast<double>(k * k)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("the destructor waits for what was submitted; shutdown refuses more") {
  Signal done;
  {
    LuaPool pool(with_workers(2));
    for (int i = 0; i < 100; ++i) pool.submit("(...)()", {done.value()});
  }
  CHECK(done.calls() == 100);
  LuaPool pool(with_workers(2));
  const LuaTask task = pool.submit(kSquare, {2});
  pool.shutdown();
  CHECK(task.done());
  CHECK(pool.statistics().workers == 0);
  CHECK_THROWS_AS(pool.submit(kSquare, {2}), std::logic_error);
  pool.shutdown();
}

TEST_CASE("shutdown may cancel what is queued") {
  LuaPool pool(with_workers(1));
  Gate gate;
  const LuaTask running = pool.submit("(...)() return 1", {gate.value()});
  gate.wait_inside();
  const LuaTask queued = pool.submit(kSquare, {2});
  pool.shutdown(false, true);
  CHECK(queued.status() == TaskStatus::cancelled);
  gate.open();
  pool.shutdown();
  CHECK(number_of(running) == 1);
}

TEST_CASE("terminate ends what runs, and gives up what sits in foreign code [compiled loop]") {
  Gate gate;
  LuaPool pool(with_workers(2, {.grace = 1ms}));
  Signal begun;
  const LuaTask loop = pool.submit("(...)() while true do end", {begun.value()});
  const LuaTask stuck = pool.submit("(...)()", {gate.value()});
  begun.wait();
  gate.wait_inside();
  const LuaTask queued = pool.submit(kSquare, {2});
  pool.terminate();
  CHECK_THROWS_AS(loop.get(), Stopped);
  CHECK_THROWS_AS(stuck.get(), Abandoned);
  CHECK_THROWS_AS(queued.get(), TaskCancelled);
  CHECK(pool.statistics().workers == 0);
  gate.open();
}

TEST_CASE("a task can't wait for its own pool") {
  LuaPool pool(with_workers(1));
  const LuaTask task = pool.submit("(...)()", {function([&pool] {
                                     pool.shutdown();
                                     return 0;
                                   })});
  CHECK_THROWS_AS(task.get(), std::logic_error);
}

TEST_CASE("the lock of a task that has ended passes on") {
  LuaPool pool(with_workers(1, {.grace = 1ms}));
  Lock lock;
  pool.submit("(...):acquire()", {lock}).get();
  CHECK(lock.acquire_for(kPatience));
  CHECK(lock.abandoned());
  lock.release();
}
