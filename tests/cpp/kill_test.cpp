// A kill leaves the VM from wherever the thread is, and nothing is left over.
#include <random>
#include <thread>

#include "support.hpp"

using namespace osthread;
using namespace osthread::test;

namespace {

constexpr const char* kHostile[] = {
    "while true do end",
    "jit.off() while true do end",
    "return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')",
    "local u = newproxy(true) getmetatable(u).__gc = function() while true do end end u = nil "
    "collectgarbage()",
    "local u = newproxy(true) getmetatable(u).__gc = function() return (('a'):rep(40)):find(('.-'):rep(20) "
    ".. 'b') end "
    "u = nil collectgarbage()",
    "local u = newproxy(true) getmetatable(u).__gc = function() while true do end end",  // at the end
    "__gc = function() s = nil collectgarbage() while true do end end s = ('x'):rep(2^20) "
    "u = newproxy(true) getmetatable(u).__gc = __gc",
    "local t = {} while true do t[#t + 1] = {} if #t > 1e5 then t = {} end end",
    "local s = '' while true do s = s .. 'x' if #s > 1e4 then s = '' end end",
    "while true do local s = ('x'):rep(2^20) end",
    "while true do pcall(error, 'x') end",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "local ffi = require 'ffi' ffi.cdef 'int usleep(unsigned); void Sleep(unsigned);' "
    "if ffi.os == 'Windows' then while true do ffi.C.Sleep(1) end end while true do ffi.C.usleep(10) end",
    "require('osthread').sleep(1000)",
    "local t = {} for i = 1, 1e6 do t[i] = i % 7 end while true do table.sort(t, function(a, b) return a < b "
    "end) end",
    "while true do ('x'):rep(1000):gsub('.', function(c) return c .. c end) end",
    "while true do load('return ' .. ('{'):rep(100) .. ('}'):rep(100)) end",
    "setmetatable(_G, {__index = function(t, k) return k end}) while true do local x = foo .. bar end",
    "while true do local s = tostring(setmetatable({}, {__tostring = function() return ('x'):rep(100) end})) "
    "end",
    "error(setmetatable({}, {__tostring = function() while true do end end}))",
};

void kill_often(const char* code, int times) {
  CAPTURE(std::string(code));
  std::minstd_rand random(42);
  for (int i = 0; i < times; ++i) {
    OSThread thread(code, {}, {.grace = 1ms});
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    thread.kill();
    REQUIRE(thread.join_for(kPatience));
    CHECK(thread.status() == Status::killed);
  }
}

}  // namespace

TEST_CASE("a kill ends whatever runs, at any moment [compiled loop]") {
  if (!features().kill) return;
  for (const char* code : kHostile) kill_often(code, 25);
}

TEST_CASE("an error out of a C function leaves nothing behind that would hold a kill up [compiled loop]") {
  if (!features().kill) return;
  for (const char* errors : {
           "pcall(require('osthread').sleep, -1)",
           "pcall(print, setmetatable({}, {__tostring = function() error('x') end}))",
           "coroutine.resume(coroutine.create(function() require('osthread').sleep(-1) end))",
       }) {
    CAPTURE(std::string(errors));
    Signal ready;
    OSThread thread(std::string("local f = ... for i = 1, 1000 do ") + errors +
                        " end f() return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')",
                    {ready.value()}, {.grace = 1ms});
    ready.wait();
    thread.kill();
    CHECK(thread.join_for(kPatience));
    CHECK(thread.status() == Status::killed);
  }
}

TEST_CASE("recursion through C ends the Lua code, and nothing else [compiled loop]") {
  if (!features().kill) return;
  for (const char* code : {
           "local function f() return (('x'):gsub('.', f)) end f()",
           "local function f() return coroutine.wrap(f)() end f()",
           "local function f() return assert(coroutine.resume(coroutine.create(f))) end f()",
           "local function f() table.sort({1, 2, 3}, f) end f()",
           "local t = setmetatable({}, {__tostring = function(t) print(t) end}) print(t)",
           "local function f() local n = 0 return load(function() f() end) end f()",
           "local function f() return coroutine.wrap(f)() end "
           "getmetatable(newproxy(true)).__gc = f collectgarbage() return 1",
       })
    for (const std::size_t stack_size : {std::size_t{0}, std::size_t{256} * 1024}) {
      CAPTURE(std::string(code));
      CAPTURE(stack_size);
      for (int i = 0; i < 10; ++i) {
        OSThread thread(code, {}, {.stack_size = stack_size});
        REQUIRE(thread.join_for(kPatience));
        if (thread.status() == Status::failed)
          CHECK_THROWS_WITH_AS((void)thread.result(), doctest::Contains("overflow"), LuaError);
        else
          CHECK(thread.status() == Status::finished);
      }
    }
}

TEST_CASE("a thread meets the end of its C stack as often as it likes [compiled loop]") {
  if (!features().kill) return;
  std::thread([&] {
    for (int i = 0; i < 20; ++i)
      CHECK_THROWS_WITH_AS(lua("local function f() return coroutine.wrap(f)() end f()"),
                           doctest::Contains("C stack overflow"), LuaError);
  }).join();
}
