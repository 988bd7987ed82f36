// What the allocation sweep runs: between them these chunks touch every library, in pieces small enough to be
// run once for each of their allocations.
//
// A chunk hands every error on (must()), so that one of memory is the error it ends with; or what LuaJIT says
// in its place (`instead`), where it does not tell why it could not have a longer stack or dump a function.
// Whoever makes an error of its own ends with that, or with one of memory.
#pragma once

namespace osthread::test {

struct SweepScript {
  const char* name;
  const char* code;
  const char* instead = nullptr;
};

inline constexpr const char* kSweepPrelude = R"lua(
local function must(ok, ...)
  if not ok then error((...), 0) end
  return ...
end
local function same(a, b) if a ~= b then error(tostring(a) .. " is not " .. tostring(b), 2) end end
)lua";

inline constexpr SweepScript kSweepScripts[] = {
    {"strings", R"lua(
  local s = ("abc "):rep(20):upper():lower():reverse()
  same(#s, 80)
  local _ = s:sub(3, 9) .. string.char(s:byte(1, 20)) .. s:rep(3, ",")
  for _, format in ipairs { "%d", "%i", "%u", "%o", "%x", "%X", "%c", "%e", "%E", "%f", "%g", "%G", "%a", "%A" } do
    local _ = format:format(77) .. ("%20" .. format:sub(2)):format(77)
  end
  _ = ("%s %q %10.3s %-5d| %+.3f %% %p"):format(s, "a\n\0\"", "xyzxyz", 7, 1 / 3, s)
  _ = ("%s %s %s"):format(setmetatable({}, { __tostring = function() return "t" .. #s end }), nil, 1.5)
  same(s:find("c", 1, true), 2)
  _ = { s:match("(%a+) ()(%s*)"), s:find("(b)(a)") }
  for word, at in s:gmatch("(%a+)()") do _ = word .. at end
  _ = s:gsub("%a", "<%0>")
  _ = s:gsub("(%a)", { a = "1", b = 2, c = false })
  _ = s:gsub("(%a)(%a)", function(x, y) return y .. x .. #s end)
  same(tostring(12.5) .. tostring(1e100) .. tostring(nil), "12.51e+100nil")
  same(tonumber("0x1p4") + tonumber("zz", 36), 16 + 1295)
  for i = 1, 40 do _ = "interned " .. i end
)lua"},
    {"string buffers", R"lua(
  local buffer = require "string.buffer"
  local b = buffer.new(10)
  b:put("a", 1, 2.5):putf("%d-%s", 7, "x"):put(("y"):rep(300))
  local _ = b:get(3) .. b:tostring() .. #b
  b:skip(2):set("fresh"):reset()
  local p, n = b:reserve(500)
  b:commit(0)
  local data = buffer.encode { 1, 2.5, "three", { four = true }, 5LL, n = "n" }
  same(buffer.decode(data).n, "n")
  local with = buffer.new { dict = { "key", "other" }, metatable = { { __index = {} } } }
  data = with:encode({ key = 1, other = { 1, 2, 3 } }):get()
  same(with:set(data):decode().key, 1)
  b:free()
)lua"},
    {"threads", R"lua(
  local osthread = require "osthread"
  local n = 1
  local t = must(pcall(osthread.OSThread, function(x) return x + n end, 41))
  same(t:result(), 42)
  same(t.status, "finished")
  local options = { name = "swept", suspended = true, globals = { g = 7 }, time_limit = 1000, libraries = { "string" } }
  local u = must(pcall(osthread.OSThread, options, "return g"))
  u:start()
  same(osthread.with(u, function(each) return each:result() end), 7)
  same(u.mailbox:close(), false)
)lua"},
    {"channels", R"lua(
  local osthread = require "osthread"
  local ch, other = osthread.Channel(8), osthread.Channel(1)
  same(ch:send(1.5), true)
  same(ch:send("text"), true)
  same(ch:send(("long"):rep(2000)), true)
  same(ch:send { 1, { x = other } }, true)
  same(ch:try_send(false), true)
  same(ch:try_send(1LL), true)
  same(ch:receive(), 1.5)
  same(ch:receive() .. #ch:receive(), "text8000")
  same(ch:try_receive()[2].x, other)
  same(ch:receive(), false)
  local from, value = osthread.select(other, ch, 0)
  same(from, ch)
  same(value, 1LL)
  same(select(2, osthread.select(ch, 0)), "timeout")
  other:send(other:statistics())
  for t in other do
    same(t.capacity, 1)
    other:close()
  end
  same(#tostring(ch) > 0, true)
)lua"},
    {"tables", R"lua(
  local new, clear = require "table.new", require "table.clear"
  local t = new(4, 4)
  for i = 1, 70 do table.insert(t, i % 7) t["k" .. i] = i end
  table.insert(t, 1, 3)
  table.sort(t)
  table.sort(t, function(a, b) return #tostring(a) + a > #tostring(b) + b end)
  same(#table.concat(t, ", "), 71 * 3 - 2)
  table.remove(t) table.remove(t, 1)
  same(select("#", unpack(t)), 69)
  same(table.maxn(t), 69)
  table.foreach(t, function(k) local _ = k .. "" end)
  for _, v in pairs(t) do local _ = { v } end
  for i, v in ipairs(t) do if i > 5 then break end end
  clear(t)
  same(next(t), nil)
  local mixed = { 1, 2, nil, 4, x = { y = { z = {} } }, [1.5] = "f", [true] = "b" }
  for i = 1, 5 do mixed[i * 1000] = function() return i end end
  local weak = setmetatable({}, { __mode = "kv" })
  for i = 1, 20 do weak[i] = {} end
  collectgarbage() collectgarbage("step", 100)
  same(next(weak), nil)
)lua"},
    {"metatables", R"lua(
  local meta = {}
  local function vector(x) return setmetatable({ x = x }, meta) end
  for _, name in ipairs { "add", "sub", "mul", "div", "mod", "pow", "concat" } do
    meta["__" .. name] = function(a, b) return vector((a.x or 0) + (type(b) == "table" and b.x or 1)) end
  end
  meta.__unm = function(a) return vector(-a.x) end
  meta.__eq = function(a, b) return a.x == b.x end
  meta.__lt = function(a, b) return a.x < b.x end
  meta.__le = function(a, b) return a.x <= b.x end
  meta.__call = function(self, ...) return select("#", ...) + self.x end
  meta.__index = function(_, key) return key .. "!" end
  meta.__newindex = function(t, k, v) rawset(t, k, { v }) end
  meta.__tostring = function(v) return "v" .. v.x end
  local a, b = vector(1), vector(2)
  local c = a + b - a * b / a % b ^ a
  same((a .. b).x, 3)
  same(a == vector(1) and a < b and a <= b and -a < a, true)
  same(a(1, 2, 3), 4)
  same(a.missing, "missing!")
  a.fresh = 1
  same(rawget(a, "fresh")[1], 1)
  same(tostring(a), "v1")
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = function() local _ = { "finalized" } end
  getmetatable(proxy).__len = function() return 3 end
  same(#proxy, 3)
  proxy = nil
  collectgarbage()
  same(getmetatable(a), meta)
  same(rawequal(a, b) or c == nil, false)
)lua"},
    {"errors", R"lua(
  same(select(2, pcall(error, "plain", 0)), "plain")
  local ok, thrown = pcall(error, { code = 1 })
  if type(thrown) ~= "table" then error(thrown, 0) end
  local function traced(e) return debug.traceback(tostring(e), 1) end
  local text = select(2, xpcall(function() error("deep", 1) end, traced))
  if not text:find("deep", 1, true) then error(text, 0) end
  text = select(2, xpcall(function() local x = nil; return x.y.z end, traced))
  if not text:find("index", 1, true) then error(text, 0) end
  for _, bad in ipairs {
    function() return {} + 1 end, function() return #nil end, function() return 1 < "x" end,
    function() return ("x"):rep(-1, 5, 6):bad() end, function() string.rep() end, function() setmetatable(1, 2) end,
  } do
    local _, message = pcall(bad)
    if message:find("not enough memory", 1, true) then error(message, 0) end
  end
  local function deep(n) if n == 0 then error("bottom", 0) end return 1 + deep(n - 1) end
  local _, message = pcall(deep, 150)
  if message ~= "bottom" then error(message, 0) end
  same(must(pcall(function(...) return select("#", ...) end, 1, nil, 3)), 3)
  same(assert(1, "unused"), 1)
)lua"},
    {"error in error handling", R"lua(
  local function handler(e) local t = { e } error(t[1] .. "", 0) end
  local ok, message = xpcall(error, handler, "first", 0)
  if type(message) ~= "string" or not message:find("error in error handling") then error(message, 0) end
  local function grow(e) local t = {} for i = 1, 40 do t[i] = { e } end return e end
  ok, message = xpcall(function() local t = {} for i = 1, 40 do t[i] = "s" .. i end error("second", 0) end, grow)
  if message ~= "second" then error(message, 0) end
)lua"},
    {"coroutines", R"lua(
  local function body(...)
    local sum = select("#", ...)
    for i = 1, 30 do sum = sum + coroutine.yield({ i }) end
    return "done", sum
  end
  local co = coroutine.create(body)
  local value = must(coroutine.resume(co, 1, 2, 3))
  while coroutine.status(co) == "suspended" do value = must(coroutine.resume(co, 2)) end
  same(value, "done")
  for i in coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) end end) do local _ = { i } end
  local inner = coroutine.wrap(function()
    return must(pcall(function() coroutine.yield(1) error({ "in" }) end))
  end)
  inner()
  local _, message = pcall(inner)
  if type(message) ~= "table" then error(message, 0) end
  local many = {}
  for i = 1, 8 do many[i] = coroutine.create(function() coroutine.yield(coroutine.running()) end) end
  for i = 1, 8 do must(coroutine.resume(many[i])) end
  same(coroutine.isyieldable(), false)
  local function deep(n) if n == 0 then coroutine.yield() return 0 end return 1 + deep(n - 1) end
  co = coroutine.create(deep)
  must(coroutine.resume(co, 150))
  same(must(coroutine.resume(co)), 150)
  local traceback = debug.traceback(co, "of a coroutine")
)lua"},
    {"load", R"lua(
  local f = assert(load("local a, b = ... return function(c) return a + b + c end", "=chunk"))
  same(f(1, 2)(3), 6)
  local pieces = { "return ", "{ x = 1, 'two', [3] = 3.5, ", "function(...) return ... end }" }
  local at = 0
  same(assert(load(function() at = at + 1 return pieces[at] end))().x, 1)
  local dumped = string.dump(f)
  same(assert(loadstring(dumped))(1, 2)(3), 6)
  local source = { "local t = {}" }
  for i = 1, 60 do source[#source + 1] = ("local v%d = '%d' .. %d.5 t[v%d] = function() return v%d end"):format(i, i, i, i, i) end
  source[#source + 1] = "goto out do local x end ::out:: return t"
  local t = assert(load(table.concat(source, "\n"), "@file.lua", "t", { }))()
  same(t["7" .. 7.5](), "77.5")
  local ok, message = load("x = = 1", "=bad")
  if not message:find("bad:1:", 1, true) then error(message, 0) end
  local env = setfenv(assert(loadstring("y = 5 local env = getfenv(1) return env")), { getfenv = getfenv })()
  same(env.y, 5)
  same(require "given".double(4), 8)
  same(package.loaded.given, require "given")
  local missing = select(2, pcall(require, "there is none"))
  if not missing:find("not found", 1, true) then error(missing, 0) end
)lua",
     "unable to dump given function"},
    {"io", R"lua(
  local file = assert(io.tmpfile())
  assert(file:write("line one\n", 12, " ", 3.5, "\nlast"))
  assert(file:seek("set", 0))
  same(file:read("*l"), "line one")
  same(file:read("*n") + file:read("*n"), 15.5)
  same(#file:read("*a"), 5)
  file:seek("set")
  for line in file:lines() do local _ = { line } end
  file:setvbuf("full", 512)
  file:seek("set")
  same(#file:read(4, 3), 4)
  same(tostring(file):sub(1, 4), "file")
  same(io.type(file), "file")
  file:close()
  same(io.type(file), "closed file")
  local missing = select(2, io.open("/there/is/none"))
  if not missing:find("none", 1, true) then error(missing, 0) end
  local left = assert(io.tmpfile())
  left:write(("z"):rep(100))
  left = nil
  collectgarbage()
)lua"},
    {"os", R"lua(
  local now = os.date("*t", 86400)
  same(os.time(now), 86400)
  same(#os.date("!%Y-%m-%d %H:%M:%S", 0), 19)
  local _ = os.getenv("PATH") .. tostring(os.clock() + os.difftime(2, 1)) .. os.setlocale()
  local name = os.tmpname()
  local renamed = select(2, os.rename(name, "/there/is/none"))
  os.remove(name)
  if not renamed then error("renamed", 0) end
)lua"},
    {"commands", R"lua(
  local pipe = assert(io.popen("echo out"))
  local text = pipe:read("*a")
  pipe:close()
  same(text, "out\n")
)lua"},
    {"debug", R"lua(
  local up, calls = 1, 0
  local function f(a, ...) local b = up + a; return debug.traceback("here"), debug.getinfo(1, "nSluf"), b end
  local text, info = f(1, 2)
  same(info.func, f)
  local lines = debug.getinfo(f, "L").activelines
  same(debug.getupvalue(f, 1), "up")
  debug.setupvalue(f, 1, 7)
  local function g() return up end
  debug.upvaluejoin(g, 1, f, 1)
  local _ = debug.upvalueid(g, 1) == debug.upvalueid(f, 1)
  _ = { debug.getlocal(1, 1), debug.setlocal(1, 1, 5) }
  debug.sethook(function(event, line) calls = calls + #event end, "crl", 3)
  for i = 1, 5 do f(i) end
  local hook = debug.gethook()
  debug.sethook()
  same(type(debug.getregistry()) .. type(debug.getfenv(f)), "tabletable")
  debug.setmetatable(1, { __index = { half = function(n) return n / 2 end } })
  same((4):half(), 2)
  debug.setmetatable(1, nil)
)lua"},
    {"jit", R"lua(
  local util, opt = require "jit.util", require "jit.opt"
  local function f(n) local s = 0 for i = 1, n do s = s + i % 3 end return s end
  jit.off(f) f(5) jit.on(f, true)
  opt.start("hotloop=2", "hotexit=2")
  for i = 1, 6 do f(20) end
  local _ = { jit.status() }
  local info = util.traceinfo(1)
  if info then
    _ = { util.traceir(1, 1), util.traceconst and util.tracek(1, -1), util.tracesnap(1, 0), util.tracemc(1) }
  end
  _ = { util.funcinfo(f), util.funcbc(f, 1), util.funck(f, -1), util.funcuvname(f, 0) }
  jit.attach(function(what) _ = what .. "" end, "trace")
  jit.flush()
  for i = 1, 6 do f(20) end
  jit.attach(function() end)
  jit.off() f(10) jit.on()
)lua"},
    {"traced loops", R"lua(
  require "jit.opt".start("hotloop=2", "hotexit=2")
  local t, s = {}, 0
  for i = 1, 40 do t[i] = i * 0.5 s = s + math.sin(i) + math.floor(t[i]) + math.max(i, 3) end
  for i = 1, 40 do t["k" .. i % 5] = tostring(i) .. ("x"):rep(i % 3) end
  for i = 1, 40 do if i % 7 == 0 then s = s + #t else s = s - 1 end end
  local function add(a, b) return a + b end
  for i = 1, 40 do s = add(s, bit.band(bit.lshift(i, 2), 255) + bit.tohex(i):byte()) end
  local objects = {}
  for i = 1, 40 do objects[#objects + 1] = { x = i, y = { i } } end
  for i = 1, 40 do s = s + objects[i].x + (objects[i].y[1] or 0) end
  local closures = {}
  for i = 1, 20 do closures[i] = function() return i end end
  for i = 1, 20 do s = s + closures[i]() end
  for _, v in ipairs(t) do s = s + v end
  for k, v in pairs(t) do if type(v) == "string" then s = s + #v end end
  local text = ""
  for i = 1, 30 do text = text .. string.char(65 + i % 26) .. ("%d,%g"):format(i, i / 3) end
  local function fibonacci(n) return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2) end
  same(fibonacci(10), 55)
  local parts = {}
  for i = 1, 20 do table.insert(parts, text:sub(i, i + 3)) end
  same(#table.concat(parts), 80)
)lua"},
    {"ffi declarations", R"lua(
  local ffi = require "ffi"
  ffi.cdef [[
    typedef struct point { double x, y; struct { int a : 3, b : 5; } bits; union { int i; float f; } u; } point;
    enum color { RED, GREEN = 5, BLUE };
    typedef int (*compare)(const void *, const void *);
    struct list { struct list *next; char name[16]; int values[?]; };
    size_t strlen(const char *);
    void qsort(void *, size_t, size_t, compare);
  ]]
  same(tonumber(ffi.sizeof("point")), 24)
  same(ffi.offsetof("point", "y"), 8)
  same(tonumber(ffi.C.strlen("four")), 4)
  same(tonumber(ffi.new("enum color", "GREEN")), 5)
  local types = { ffi.typeof("point *"), ffi.typeof("int[?]"), ffi.typeof("struct { int $; }", "field") }
  for i = 1, 3 do local _ = tostring(types[i]) end
  local Point = ffi.metatype("point", {
    __add = function(a, b) return ffi.new("point", a.x + b.x, a.y + b.y) end,
    __index = { length = function(p) return p.x + p.y end },
    __tostring = function(p) return "p" .. p.x end,
  })
  same((Point(1, 2) + Point(3, 4)):length(), 10)
  same(tostring(Point(1)), "p1")
  local bad = select(2, pcall(ffi.cdef, "this is no declaration"))
  if not bad:find("declaration", 1, true) then error(bad, 0) end
)lua"},
    {"ffi values", R"lua(
  local ffi = require "ffi"
  local array = ffi.new("int[10]", { 5, 3, 8, 1, 9, 2, 7, 4, 6, 0 })
  local text = ffi.string(ffi.cast("char *", ffi.new("char[8]", "seven..")), 7)
  same(text, "seven..")
  ffi.fill(array, 4) ffi.copy(array + 1, array, 4)
  same(ffi.istype("int[10]", array), true)
  local released = 0
  for i = 1, 5 do ffi.gc(ffi.new("int64_t[1]"), function() released = released + #tostring(i) end) end
  collectgarbage() collectgarbage()
  local sum = 0LL
  for i = 1, 5 do sum = sum + ffi.cast("int64_t", i) * 2ULL end
  same(tostring(sum), "30ULL")
  local callback = ffi.cast("int (*)(int)", function(n) return n + #tostring(n) end)
  same(callback(41), 43)
  callback:set(function(n) return n end)
  callback:free()
  require "jit.opt".start("hotloop=2", "hotexit=2")
  local points = ffi.new("struct { double x; int64_t n; }[30]")
  for i = 0, 29 do points[i].x = i points[i].n = i * 2LL end
  local boxed = {}
  for i = 0, 29 do boxed[i] = points[i].n + 1 end
  local total = 0
  for i = 0, 29 do total = total + points[i].x + tonumber(boxed[i]) end
  same(total, 435 + 900)
  same(ffi.abi("le") or ffi.os ~= "", true)
  local _ = ffi.errno() + tonumber(ffi.alignof("double"))
)lua"},
    {"math and bit", R"lua(
  local s = 0
  for name, f in pairs(math) do
    if type(f) == "function" and name ~= "random" and name ~= "randomseed" then s = s + (f(0.5, 2) or 0) end
  end
  math.randomseed(7)
  s = s + math.random() + math.random(5) + math.random(3, 9)
  same(bit.bor(bit.bnot(0), 1, 2), -1)
  same(bit.tohex(bit.bswap(255), 8), "ff000000")
  same(bit.rol(1, 31) + bit.arshift(-8, 1) < 0, true)
  same(bit.band(0xffLL, 0x0fULL) == 15ULL, true)
)lua"},
    {"osthread", R"lua(
  local osthread = require "osthread"
  same(osthread.self(), nil)
  local list, map = osthread.array {}, osthread.map {}
  same(osthread.is_stopped("no"), false)
  same(osthread.now() > 0 and osthread.stop_requested(), false)
  same(osthread.null == nil, true)
  osthread.sleep(0)
  print("to the output", 1, nil, list ~= map)
  io.write("also ", 2, "\n")
  local arg, callback = ...
  local _, message = pcall(callback, "raise")
  if not tostring(message):find("raised", 1, true) then error(message, 0) end
  local back = callback { arg, { 1, 2, 3 }, name = "n", big = 2LL ^ 60, null = osthread.null, f = same }
  same(back.name, "n")
  same(shared.list[3] == nil or shared.x, 1)
  return back, list, map, math.floor, function() return back, must end
)lua"},
    {"many results", R"lua(
  local t = {}
  for i = 1, 300 do t[i] = i % 50 == 0 and { i } or i end
  return unpack(t)
)lua",
     "too many results to unpack"},
    {"many plain results", R"lua(
  local t = {}
  for i = 1, 7000 do t[i] = i end
  local function deep(n) if n == 0 then return unpack(t) end return deep(n - 1) end
  return deep(3)
)lua",
     "too many results to unpack"},
    {"many results and one", R"lua(
  local t = { {} }
  for i = 2, 3500 do t[i] = i end
  return unpack(t)
)lua",
     "too many results to unpack"},
    {"an error value that is a table", R"lua(
  local t = { 1, { 2, f = function() return must end } }
  t.self = t
  error(setmetatable(t, { __tostring = function(e) return "the error value is " .. #e .. ("x"):rep(100) end }))
)lua",
     "error value is"},
    {"an error value that can't cross", "error(coroutine.create(print))", "can't cross threads"},
    {"an error with a stack", R"lua(
  local function deep(n) if n == 0 then error("bottom " .. n) end return 1 + deep(n - 1) end
  deep(190)
)lua",
     "bottom 0"},
};

}  // namespace osthread::test
