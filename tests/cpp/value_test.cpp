#include "osthread/value.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <type_traits>

#include "../../cpp/src/registry.hpp"
#include "osthread/sync.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

// Counts its living.
class Probe final : public Object {
 public:
  Probe() { ++alive; }
  ~Probe() override { --alive; }
  std::string describe() const override { return "probe"; }
  static inline std::atomic<int> alive{0};
};

Value probe() { return Value::adopt(new Probe); }

int twice(int x) noexcept { return 2 * x; }

}  // namespace

TEST_CASE("numbers keep their value: doubles within 2^53, 64-bit integers beyond") {
  CHECK(Value(1).type() == Value::Type::number);
  CHECK(Value(std::int64_t{1} << 53).type() == Value::Type::number);
  CHECK(Value((std::int64_t{1} << 53) + 1).type() == Value::Type::int64);
  CHECK(Value(-(std::int64_t{1} << 53) - 1).type() == Value::Type::int64);
  CHECK(Value(UINT64_MAX).type() == Value::Type::uint64);
  CHECK(Value(UINT64_MAX).as<std::uint64_t>() == UINT64_MAX);
  CHECK(Value(INT64_MIN).as<std::int64_t>() == INT64_MIN);
  CHECK(Value(INT64_MAX).as<std::int64_t>() == INT64_MAX);
  CHECK(std::isnan(Value(std::nan("")).as<double>()));
  CHECK(std::signbit(Value(-0.0).as<double>()));
}

TEST_CASE("as<T> refuses what does not fit, and says what it is") {
  CHECK_THROWS_AS(Value(1.5).as<int>(), ConversionError);
  CHECK_THROWS_AS(Value(300).as<std::uint8_t>(), ConversionError);
  CHECK_THROWS_AS(Value(-1).as<unsigned>(), ConversionError);
  CHECK_THROWS_AS(Value(std::nan("")).as<int>(), ConversionError);
  CHECK_THROWS_AS(Value(std::numeric_limits<double>::infinity()).as<std::int64_t>(), ConversionError);
  CHECK_THROWS_AS(Value("1").as<int>(), ConversionError);
  CHECK_THROWS_AS(Value().as<std::string>(), ConversionError);
  CHECK_THROWS_AS(Value(true).as<double>(), ConversionError);
  CHECK_THROWS_AS((void)Value(1).elements(), ConversionError);
  CHECK_THROWS_WITH(Value(true).as<std::string>(), "value: a boolean is not a string");
}

TEST_CASE("strings are bytes") {
  const std::string bytes("a\0\xff", 3);
  CHECK(Value(bytes).as<std::string>() == bytes);
  CHECK(Value("").bytes().empty());
}

TEST_CASE("tables hold what was put in, shared and nested") {
  const Value inner = Value::array({1, 2});
  const Value outer = Value::map({{"a", inner}, {"b", inner}, {3, "three"}});
  CHECK(&outer.get("a").table() == &outer.get("b").table());
  CHECK(outer.get("a").elements().size() == 2);
  CHECK(outer.get("none").is_nil());
  CHECK(inner.table().mark == TableMark::array);
  CHECK(outer.table().mark == TableMark::map);
}

TEST_CASE("an inner value, copied out, keeps the whole alive; dropped, everything is freed") {
  REQUIRE(Probe::alive == 0);
  {
    Value kept;
    {
      const Value table = Value::map({{"inner", Value::array({probe()})}, {"other", probe()}});
      kept = table.get("inner");
      CHECK(Probe::alive == 2);
    }
    CHECK(kept.elements().size() == 1);
    CHECK(Probe::alive == 2);
  }
  CHECK(Probe::alive == 0);
}

TEST_CASE("a list that begins with numbers has its elements for all who ask, and leaks nothing") {
  REQUIRE(Probe::alive == 0);
  {
    LuaState state;
    const Value list =
        state
            .execute("local p = ... local f = function() return p end return {1, 2, {p}, p, f, 3}", {probe()})
            .at(0);
    state.close();
    CHECK(list.table().numbers.size() == 2);
    CHECK(list.table().length() == 6);
    const Values* seen[2] = {};
    {
      Barrier both(2);  // std::barrier of mingw-w64's libstdc++ may hang
      std::vector<std::jthread> threads;
      for (const Values*& one : seen)
        threads.emplace_back([&] {
          both.wait();
          one = &list.elements();
        });
    }
    CHECK(seen[0] == seen[1]);
    REQUIRE(list.elements().size() == 6);
    CHECK(list.elements()[1].as<int>() == 2);
    CHECK(list.elements()[5].as<int>() == 3);
    CHECK(list.elements()[2].elements().size() == 1);
    const Value copied = Value::array({0.5, list});
    CHECK(copied.elements().at(1).elements().at(0).as<int>() == 1);
    CHECK(copied.elements().at(1).elements().at(4).type() == Value::Type::function);
  }
  CHECK(Probe::alive == 0);
}

TEST_CASE("moving and assigning values within their own table leaks nothing") {
  REQUIRE(Probe::alive == 0);
  {
    Value table = Value::array({probe(), Value::array({probe()})});
    Value again = table;
    Value moved = std::move(table);
    CHECK(table.is_nil());
    again = moved.elements()[1];
    again = again.elements()[0];
    moved = std::move(again);
    CHECK(moved.type() == Value::Type::object);
  }
  CHECK(Probe::alive == 0);
}

TEST_CASE("a table nested 100,000 deep is made and freed without depth") {
  Value nested = Value::array({1});
  LuaState state;
  nested = state.execute("local t = {} local r = t for i = 1, 100000 do t.x = {} t = t.x end return r").at(0);
  int depth = 0;
  for (Value at = nested; !at.get("x").is_nil(); at = at.get("x")) ++depth;
  CHECK(depth == 100'000);
  const Value wrapped = Value::array({nested});  // copies the graph
  CHECK(wrapped.elements().size() == 1);
}

TEST_CASE("values may be copied and dropped on several threads") {
  REQUIRE(Probe::alive == 0);
  {
    const Value shared = Value::map({{"p", probe()}, {"s", "text"}});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([shared] {
        for (int k = 0; k < 1000; ++k) {
          const Value copy = shared;
          const Value inner = copy.get("p");
          if (inner.is_nil()) std::abort();
        }
      });
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(Probe::alive == 0);
}

TEST_CASE("a C++ function converts its arguments and results") {
  const Value add =
      function([](int a, double b, const std::string& text) { return text + std::to_string(a + b); });
  CHECK(lua("return (...)(1, 2.5, 'x')", {add}).at(0).as<std::string>() == "x3.500000");
  const Value several = function([](Values args) {
    args.push_back("more");
    return args;
  });
  CHECK(lua("return select('#', (...)(1, nil, nil))", {several}).at(0).as<int>() == 4);
  CHECK_THROWS_AS(lua("(...)('no number')", {function([](int) {})}), ConversionError);
  const Value nothing = function([] {});
  CHECK(lua("return select('#', (...)())", {nothing}).at(0).as<int>() == 0);
}

TEST_CASE("a C++ function that is noexcept is one like all others") {
  struct Adder {
    int operator()(int a, int b) noexcept { return a + b; }
  };
  CHECK(lua("return (...)(3)", {function([](int a) noexcept { return 2 * a; })}).at(0).as<int>() == 6);
  CHECK(lua("return (...)(3)", {function(&twice)}).at(0).as<int>() == 6);
  CHECK(lua("return (...)(3, 4)", {function(Adder())}).at(0).as<int>() == 7);
}

// Text crosses; any other pointer would be the boolean true.
template <class T>
constexpr bool kCrosses = std::is_constructible_v<Value, T>;
static_assert(kCrosses<const char*> && kCrosses<char*> && kCrosses<char (&)[4]> && kCrosses<std::nullptr_t>);
static_assert(!kCrosses<void*> && !kCrosses<const int*> && !kCrosses<double (&)[3]> &&
              !kCrosses<std::string*>);
static_assert(!kCrosses<int (*)(int)> && !kCrosses<int (&)(int)> && !kCrosses<int (Probe::*)()>);

TEST_CASE("objects a state held are given back when it ends") {
  REQUIRE(Probe::alive == 0);
  {
    LuaState state;
    state.execute("kept = {...} for i = 1, 100 do local t = {...} end", {probe(), Value::array({probe()})});
    CHECK(Probe::alive == 2);
    CHECK(state.execute("return tostring(kept[1])").at(0).as<std::string>() == "probe");
  }
  CHECK(Probe::alive == 0);
  {
    OSThread thread("return ...", {probe()});
    CHECK(thread.result().at(0).type() == Value::Type::object);
  }
  REQUIRE(registry::wait_until_quiet(Clock::now() +
                                     kPatience));  // a thread's own share goes after its result is out
  CHECK(Probe::alive == 0);
}
