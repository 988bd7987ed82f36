// Values into a state and out of it.
#include <bit>
#include <cmath>
#include <map>

#include "../../cpp/src/memory_quota.hpp"
#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

Value round_trip(const Value& value) { return lua("return (...)", {value}).at(0); }

std::string conversion_path(const std::string& code) {
  try {
    lua(code);
  } catch (const ConversionError& error) {
    return error.path();
  }
  return "no ConversionError";
}

// Runs `code` again and again beside ballast that leaves it a little more room each time, so that each
// allocation fails once (as lua/lua's memerr.lua does): it ends with success or with LuaMemoryError, nothing
// else.
void fail_at_each_allocation(const Code& code, const Values& args, std::size_t room, std::size_t step) {
  constexpr std::size_t kLimit = 4 << 20;
  int failures = 0;
  bool succeeded = false;
  for (std::size_t left = 0; left <= room; left += step) {
    LuaState state({.memory_limit = kLimit});
    try {
      state.set("ballast", std::string(kLimit - left - 2048, 'b'));
      state.execute(code, args);
      succeeded = true;
    } catch (const LuaMemoryError&) {
      ++failures;
    }
  }
  CAPTURE(failures);
  CHECK(failures > 0);
  CHECK(succeeded);
}

}  // namespace

TEST_CASE("what has a form on both sides comes back as it was") {
  for (const Value& value : {Value(), Value(true), Value(false), Value(1.5), Value(-0.0), Value("text"),
                             Value(std::string("\0\xff", 2)), Value(INT64_MIN), Value(UINT64_MAX)}) {
    const Value back = round_trip(value);
    CAPTURE(value.type_name());
    CHECK(back.type() == value.type());
    if (value.type() == Value::Type::string) CHECK(back.bytes() == value.bytes());
    if (value.type() == Value::Type::number)
      CHECK(std::signbit(back.number()) == std::signbit(value.number()));
    if (value.type() == Value::Type::int64) CHECK(back.int64() == value.int64());
    if (value.type() == Value::Type::uint64) CHECK(back.uint64() == value.uint64());
  }
}

TEST_CASE("64-bit cdata come back as integers, NULL as nil") {
  const Values results = lua("return 5LL, 2^53 + 0LL, 9007199254740993LL, -1ULL, require('osthread').null");
  CHECK(results.at(0).as<int>() == 5);
  CHECK(results.at(2).as<std::int64_t>() == 9007199254740993);
  CHECK(results.at(3).as<std::uint64_t>() == UINT64_MAX);
  CHECK(results.at(4).is_nil());
}

TEST_CASE("a nil inside a table keeps its place") {
  const Value list = Value::array({1, nullptr, 3});
  CHECK(lua("local t = ... return #t, t[2] == nil, t[3]", {list}).at(0).as<int>() == 3);
  const Value back = round_trip(list);
  REQUIRE(back.elements().size() == 3);
  CHECK(back.elements()[1].is_nil());
}

TEST_CASE("array and map keep their marks where the keys leave it open") {
  CHECK(round_trip(Value::array({})).table().mark == TableMark::array);
  CHECK(round_trip(Value::map({})).table().mark == TableMark::none);
  CHECK(lua("local o = require 'osthread' return o.map{1, 2}").at(0).table().mark == TableMark::map);
}

TEST_CASE("elements in the hash part are elements all the same") {
  const Value list = lua("local t = {} for i = 100, 1, -1 do t[i] = i end t.x = 1 return t").at(0);
  REQUIRE(list.elements().size() == 100);
  CHECK(list.elements()[41].as<int>() == 42);
  CHECK(list.fields().size() == 1);
}

TEST_CASE("arrays of numbers come back as they were, whatever their length and what follows") {
  for (const int size : {1, 255, 256, 257, 1000}) {
    CAPTURE(size);
    const Values results =
        lua("local size = ... local t = {} for i = 1, size do t[i] = i / 2 end t[size + 1] = 'end' t.x = 7 "
            "local numbers = {} for i = 1, size do numbers[i] = -i end return t, numbers",
            {size});
    for (const Value& value : results) {
      const Value back = round_trip(value);
      CHECK(back.elements().size() == value.elements().size());
      CHECK(back.fields().size() == value.fields().size());
      for (int i = 0; i < size; ++i)
        CHECK(as_number(back.elements().at(static_cast<std::size_t>(i))) ==
              as_number(value.elements().at(static_cast<std::size_t>(i))));
    }
    CHECK(as_text(round_trip(results.at(0)).elements().back()) == "end");
    CHECK(as_number(round_trip(results.at(0)).get("x")) == 7);
  }
}

TEST_CASE("an element 0 is a field beside an array of numbers") {
  const Value table = lua("return {[0] = 7, 1, 2, 3}").at(0);
  CHECK(table.elements().size() == 3);
  REQUIRE(table.fields().size() == 1);
  CHECK(as_number(table.fields().front().first) == 0);
  CHECK(as_number(table.fields().front().second) == 7);
}

TEST_CASE("a nan of any bits is a nan in an array, and not another type") {
  Values nans;
  for (std::uint64_t tag = 0xfff8; tag <= 0xffff; ++tag)
    nans.push_back(std::bit_cast<double>(tag << 48 | 0x1234));
  CHECK(lua("for _, x in ipairs(...) do assert(type(x) == 'number' and x ~= x) end return #(...)",
            {Value::array(nans)})
            .at(0)
            .as<int>() == 8);
}

TEST_CASE("cycles and shared references cross both ways, several results sharing too") {
  const Values results = lua("local a, b = {}, {} a.b, b.a, a.self = b, a, a return a, b, {a, b, a}");
  CHECK(&results.at(0).get("b").table() == &results.at(1).table());
  CHECK(&results.at(2).elements()[0].table() == &results.at(2).elements()[2].table());
  const Values checked = lua(
      "local a, b, list = ... return a.b == b and b.a == a and a.self == a and list[1] == a and list[2] == b",
      results);
  CHECK(checked.at(0).as<bool>());
}

TEST_CASE("a table 100,000 deep crosses both ways") {
  const Value deep =
      lua("local t = {} local r = t for i = 1, 100000 do t[1] = {} t = t[1] end return r").at(0);
  CHECK(lua("local t, n = ..., 0 while t[1] do t = t[1] n = n + 1 end return n", {deep}).at(0).as<int>() ==
        100'000);
}

TEST_CASE("a chain of 10,000 functions, each an upvalue of the next, crosses") {
  const Value chain = lua("local f = function() return 0 end for i = 1, 10000 do local g = f f = function() "
                          "return g end end return f")
                          .at(0);
  CHECK(
      lua("local f, n = ..., 0 while f() ~= 0 do f = f() n = n + 1 end return n", {chain}).at(0).as<int>() ==
      10'000);
}

TEST_CASE("functions keep upvalues, recursion, and the library's functions") {
  const Value even = lua("local even, odd\n"
                         "function even(n) if n == 0 then return true end return odd(n - 1) end\n"
                         "function odd(n) if n == 0 then return false end return even(n - 1) end\n"
                         "return even")
                         .at(0);
  CHECK(lua("return (...)(10)", {even}).at(0).as<bool>());
  CHECK(lua("return (...)(2.7)", {lua("return math.floor").at(0)}).at(0).as<int>() == 2);
  const Value uses =
      lua("local string, t = string, {3} return function() return string.rep('x', t[1]) end").at(0);
  CHECK(lua("return (...)()", {uses}).at(0).as<std::string>() == "xxx");
}

TEST_CASE("a function whose upvalue is the module osthread runs in every state") {
  const Value asks =
      lua("local o = require 'osthread' return function() return o.stop_requested() end").at(0);
  CHECK_FALSE(lua("return (...)()", {asks}).at(0).as<bool>());
  OSThread thread(asks);
  CHECK_FALSE(thread.result().at(0).as<bool>());
}

TEST_CASE("a function whose upvalue is string.buffer runs in every state") {
  const Value writes = lua("local buffer = require 'string.buffer' return function() return "
                           "buffer.new():put('x', 1):tostring() end")
                           .at(0);
  CHECK(lua("return (...)()", {writes}).at(0).as<std::string>() == "x1");
}

TEST_CASE("what can't cross is refused by its place") {
  CHECK(conversion_path("return 1, coroutine.create(print)") == "results[2]");
  CHECK(conversion_path("return {a = {io.stdout}}") == "results[1].a[1]");
  CHECK(conversion_path("return {['two words'] = io.stdout}") == "results[1][\"two words\"]");
  CHECK(conversion_path("return {[true] = io.stdout}") == "results[1][true]");
  CHECK(conversion_path("local u = io.stdout return function() return u end") == "results[1][\"upvalue u\"]");
  CHECK(conversion_path("return {[{}] = 1}") == "results[1]");
  CHECK(conversion_path("return require('ffi').new('int[2]')") == "results[1]");
}

TEST_CASE("metatables stay behind, and no metamethod runs while values are copied") {
  const Values results =
      lua("local ran = 0\n"
          "local t = setmetatable({1}, {__index = function() ran = ran + 1 end, __len = function() ran = ran "
          "+ 1 return 9 end,\n"
          "  __pairs = function() ran = ran + 1 end, __gc = function() ran = ran + 1 end})\n"
          "return t");
  CHECK(results.at(0).elements().size() == 1);
}

TEST_CASE("a finalizer that changes the table being read does no harm") {
  const Value table =
      lua("t = {}\n"
          "for i = 1, 2000 do\n"
          "  t[i] = {i}\n"
          "  local u = newproxy(true)\n"
          "  getmetatable(u).__gc = function() for k = 1, 2000, 7 do t[k] = nil end t['x' .. i] = 1 end\n"
          "end\n"
          "return t")
          .at(0);
  CHECK(table.fields().size() + table.elements().size() > 0);
}

TEST_CASE("thousands of values cross in one call") {
  const Values many(7000, Value(1));
  CHECK(lua("return select('#', ...)", many).at(0).as<int>() == 7000);
  CHECK(lua("local t = {} for i = 1, 7000 do t[i] = i end return unpack(t)").size() == 7000);
  const Value returns_many = function([](const Values&) -> Values { return Values(7000, Value(2)); });
  CHECK(lua("return select('#', (...)())", {returns_many}).at(0).as<int>() == 7000);
}

TEST_CASE("more values than Lua's stack holds are an error, not a crash") {
  const Value too_many = function([](const Values&) -> Values { return Values(20'000, Value(2)); });
  CHECK_THROWS_AS(lua("(...)()", {too_many}), std::runtime_error);
  CHECK_FALSE(lua("local f = ... return pcall(f)", {too_many}).at(0).as<bool>());
  CHECK_THROWS_AS(lua("return 1", Values(20'000, Value(1))), std::runtime_error);
}

TEST_CASE("a host function called by a finalizer after its own end is an error, not a crash") {
  const Value makes = function([](const Values&) -> Values { return {function([] {})}; });
  CHECK_NOTHROW(
      lua("local make = ...\n"
          "local p, later = newproxy(true)\n"
          "getmetatable(p).__gc = function() later() end\n"
          "later = make()",
          {makes}));
}

TEST_CASE("every allocation may fail: arguments of all kinds") {
  Value nested = Value::array({1, 2, 3});
  for (int i = 0; i < 60; ++i)
    nested =
        Value::map({{"list", Value::array({i, "text " + std::to_string(i), nested})}, {i, INT64_MAX - i}});
  fail_at_each_allocation("local t = ... return t", {nested, "plain", 5}, 120'000, 331);
}

TEST_CASE("every allocation may fail: results, functions and 64-bit integers") {
  const Value function_value =
      lua("local a, b = {1, {2}}, 'text' return function(x) return x, a, b end").at(0);
  fail_at_each_allocation(
      "local f = ... local t = {} for i = 1, 300 do t[i] = {i, i .. 'x', 2LL^60 + i, f} end return t, f(t)",
      {function_value}, 400'000, 1009);
}

TEST_CASE("every allocation may fail: errors, their values and their text") {
  for (const char* code : {"local t = {} for i = 1, 100 do t[i] = {('x'):rep(100) .. i} end error(t)",
                           "local t = {} for i = 1, 1000 do t[i] = {i} end error(setmetatable(t, {__tostring "
                           "= function() return ('y'):rep(1000) end}))",
                           "local t = {} for i = 1, 1000 do t[i] = {i} end error(0.123456789)"}) {
    CAPTURE(code);
    int others = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      LuaState state({.memory_limit = MemoryQuota::kFloor + i * 512});
      try {
        state.execute(code);
        FAIL("it returned");
      } catch (const LuaMemoryError&) {
      } catch (const LuaError&) {
        ++others;
      }
    }
    CHECK(others > 0);
  }
}

TEST_CASE("every allocation may fail: host functions' arguments and results") {
  const Value echo = function([](Values args) { return args; });
  fail_at_each_allocation(
      "local f = ... local t = {} for i = 1, 100 do t[i] = {f({i, 'x' .. i}, 2LL^60 + i, 'y' .. i)} end "
      "return t",
      {echo}, 250'000, 641);
}

TEST_CASE("a chunk that fills its memory to the last byte and then fails ends with an error") {
  const char* fills =
      "local t, n, size = {}, 0, 1e5\n"
      "while size >= 1 do\n"
      "  if not pcall(function() n = n + 1 t[n] = ('x'):rep(size) .. n end) then size = size / 2 end\n"
      "end\n";
  for (const char* ending : {"error(0.123456789 + n)", "error({n})", "return t", "return 0.5 + n, {n}, 3LL",
                             "error(setmetatable({}, {__tostring = function() return 'x' .. n end}))",
                             "return setmetatable(t, {})", "local function f() return 1 + f() end f()",
                             "return coroutine.wrap(function() error(t) end)()"}) {
    CAPTURE(ending);
    OSThread thread(std::string(fills) + ending, {}, {.memory_limit = 256 * 1024});
    thread.join();
    CHECK((thread.status() == Status::failed || thread.status() == Status::finished));
  }
}
