// A SharedBuffer from C++.
#include "osthread/shared_buffer.hpp"

#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "half_float.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using osthread::DType;
using osthread::LuaState;
using osthread::OSThread;
using osthread::SharedBuffer;
using osthread::Value;

TEST_CASE("a buffer is the same memory in C++ and Lua") {
  SharedBuffer squares(DType::float64, {1000});
  OSThread worker("local b = ... for i = 0, #b - 1 do b[i] = i * i end", {squares});
  worker.join();
  worker.result();
  const auto elements = squares.elements<const double>();
  REQUIRE(elements.size() == 1000);
  CHECK(elements[999] == 999.0 * 999.0);
  CHECK(squares.dtype() == DType::float64);
  CHECK(squares.itemsize() == 8);
  CHECK(reinterpret_cast<std::uintptr_t>(squares.data()) % 64 == 0);
}

TEST_CASE("memory of the program's own is kept until the last handle goes") {
  auto numbers = std::make_shared<std::vector<std::int32_t>>(100, 7);
  const std::weak_ptr<std::vector<std::int32_t>> alive = numbers;
  LuaState lua;
  {
    const SharedBuffer buffer(numbers->data(), DType::int32, {10, 10}, numbers);
    numbers.reset();
    lua.set("b", buffer);
  }
  CHECK(lua.eval("b[99]").at(0).as<int>() == 7);
  CHECK(lua.eval("#b.shape").at(0).as<int>() == 2);
  CHECK_FALSE(alive.expired());
  lua.execute("b = nil collectgarbage() collectgarbage()");
  CHECK(alive.expired());
}

TEST_CASE("a buffer comes back from Lua as itself") {
  const SharedBuffer buffer(DType::uint8, {3});
  LuaState lua;
  const auto results = lua.execute("return ...", {buffer});
  CHECK(results.at(0).as<SharedBuffer>() == buffer);
  CHECK_THROWS_AS((void)Value(1).as<SharedBuffer>(), osthread::ConversionError);
}

TEST_CASE("mistakes with a buffer are errors that say so") {
  CHECK_THROWS_WITH_AS(SharedBuffer(DType::structure, {3}), doctest::Contains("1 byte at least"),
                       std::invalid_argument);
  CHECK_THROWS_AS(SharedBuffer(DType::float64, {SIZE_MAX / 2, 4}), std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)osthread::dtype_named("float65"), doctest::Contains("float64"),
                       std::invalid_argument);
  std::array<double, 2> numbers{};
  SharedBuffer constant(numbers.data(), DType::float64, {2}, nullptr, true);
  CHECK_THROWS_AS((void)constant.elements<double>(), std::invalid_argument);
  CHECK_THROWS_AS((void)constant.elements<const float>(), std::invalid_argument);
  CHECK_THROWS_AS(constant.add(0, 1), std::invalid_argument);
  CHECK_THROWS_AS((void)constant.compare_and_set(0, 0, 1), std::invalid_argument);
  CHECK_THROWS_AS(SharedBuffer(reinterpret_cast<char*>(numbers.data()) + 1, DType::float64, {1}, nullptr),
                  std::invalid_argument);
  SharedBuffer bytes(DType::uint8, {2});
  CHECK_THROWS_AS(bytes.add(2, 1), std::out_of_range);
  CHECK_THROWS_AS(bytes.add(0, 256), osthread::ConversionError);
  CHECK_THROWS_AS(bytes.notify(2), std::out_of_range);
}

TEST_CASE("structures are described as the FFI declares them") {
  struct Point {
    double x;
    std::int32_t n;
    std::int32_t unused;
  };
  std::array<Point, 3> points{{{1, 0, 0}, {2, 0, 0}, {3, 0, 0}}};
  const SharedBuffer buffer(
      points.data(),
      {.declaration = "struct { double x; int32_t n; int32_t unused; }", .itemsize = sizeof(Point)}, {3},
      nullptr);
  LuaState lua;
  lua.execute("local b = ... for i = 0, #b - 1 do b[i].n = b[i].x * 10 end", {buffer});
  CHECK(points[2].n == 30);
}

TEST_CASE("a declaration of another size than the elements is refused") {
  std::array<double, 6> memory{};
  const SharedBuffer wrong(memory.data(), {"struct { double x, y; }", 12, ""}, {4}, nullptr);
  LuaState lua;
  CHECK_THROWS_WITH_AS(lua.execute("return (...)[3].y", {wrong}), doctest::Contains("12 bytes"),
                       osthread::LuaError);
  CHECK_THROWS_AS(SharedBuffer(nullptr, DType::float64, {1}, nullptr), std::invalid_argument);
  CHECK(SharedBuffer(nullptr, DType::float64, {0}, nullptr).size() == 0);
}

TEST_CASE("what refers to a structure keeps its memory, until the state's end") {
  struct Element {
    double x;
    double rows[2][2];
  };
  auto elements = std::make_shared<std::vector<Element>>(4, Element{1, {{2, 3}, {4, 5}}});
  const std::weak_ptr<std::vector<Element>> alive = elements;
  const auto lend = [&] {
    return SharedBuffer(elements->data(), {"struct { double x, rows[2][2]; }", sizeof(Element), ""}, {4},
                        elements);
  };
  {
    LuaState lua;
    lua.execute("local b = ... row = b[3].rows[1] b:release()", {lend()});
    lua.execute("element = (...)[1]", {lend()});
    elements.reset();
    lua.execute("for _ = 1, 3 do collectgarbage() end");
    CHECK(lua.execute("return row[1] + element.x").front().number() == 6);
    CHECK_FALSE(alive.expired());
    lua.execute("row = nil for _ = 1, 3 do collectgarbage() end");
    CHECK_FALSE(alive.expired());
  }
  CHECK(alive.expired());
}

TEST_CASE("threads add to one element of a buffer, and wait for it") {
  SharedBuffer counter(DType::int64, {2});
  std::vector<OSThread> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back("local b, n = ... for i = 1, n do b:add(0, 1) end b:add(1, 1) b:notify(1)",
                         osthread::Values{counter, 10000});
  // Looked at by an atomic operation, while others add to it.
  for (std::int64_t done = 0; done < 4; done = counter.add(1, 0).as<std::int64_t>())
    REQUIRE(counter.wait_for(1, done, 30s));
  for (OSThread& worker : workers) worker.join();
  CHECK(counter.elements<std::int64_t>()[0] == 40000);
  CHECK_FALSE(counter.wait_for(0, 40000, 0s));
}

TEST_CASE("half floats are what IEEE 754 says") {
  using osthread::double_to_half;
  using osthread::half_to_double;
  CHECK(half_to_double(0x3c00) == 1.0);
  CHECK(half_to_double(0xc000) == -2.0);
  CHECK(half_to_double(0x7bff) == 65504.0);
  CHECK(half_to_double(0x0001) == 0x1p-24);
  CHECK(double_to_half(65520) == 0x7c00);
  CHECK(double_to_half(0x1p-25) == 0);
  CHECK(double_to_half(-0.0) == 0x8000);
  for (unsigned half = 0; half < 0x7c00; ++half)
    CHECK(double_to_half(half_to_double(static_cast<std::uint16_t>(half))) == half);
}
