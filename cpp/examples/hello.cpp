// The whole of it in one page: a thread, its values, its error, and C++ called from Lua.
#include <iostream>
#include <osthread/osthread.hpp>

int main() {
  // It runs at once, on a native thread, in a Lua state of its own; {21} becomes Lua's `...`.
  osthread::OSThread doubler("return ... * 2", {21}, {.name = "doubler"});
  std::cout << doubler.result().at(0).as<int>() << '\n';  // waits: 42

  // Tables are copied, functions are called on Lua's thread; what they throw becomes a Lua error.
  const osthread::Value point = osthread::Value::map({{"x", 3}, {"y", 4}});
  const osthread::Value square = osthread::function([](double x) { return x * x; });
  osthread::OSThread distance(R"(
    local point, square = ...
    return math.sqrt(square(point.x) + square(point.y)), point
  )",
                              {point, square});
  const osthread::Values& results = distance.result();
  std::cout << results.at(0).as<double>() << " from " << results.at(1).get("x").as<int>() << '\n';

  // An error ends its thread, nothing else; result() throws it.
  osthread::OSThread broken("local t = nil\nreturn t.field");
  try {
    broken.result();
  } catch (const osthread::LuaError& error) {
    std::cout << error.what() << '\n' << error.traceback() << '\n';
    return 0;
  }
  return 1;
}
