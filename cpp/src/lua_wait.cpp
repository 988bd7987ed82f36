#include "lua_wait.hpp"

#include <cmath>

#include "deadline.hpp"
#include "vm.hpp"
#include "wait_note.hpp"

namespace osthread {

Run& own_run(lua_State* L) {
  Run* run = Run::current();
  if (!run || run->state() != Vm::of(L).state()) luaL_error(L, "no chunk of this state is running");
  if (WaitNote* const note = wait_note())
    note->resumed = 0;  // of a wait that was over at once when it went on
  return *run;
}

std::optional<Clock::time_point> deadline_at(lua_State* L, int index, const char* function) {
  if (lua_isnoneornil(L, index)) return std::nullopt;
  if (lua_type(L, index) != LUA_TNUMBER)
    luaL_error(L, "%s: the timeout must be a number of seconds, or nil, not a %s", function,
               luaL_typename(L, index));
  const lua_Number seconds = lua_tonumber(L, index);
  if (!(seconds >= 0)) luaL_error(L, "%s: seconds must be 0 or more, not %f", function, seconds);
  return deadline_after(duration_of(seconds));
}

std::chrono::nanoseconds duration_of(double seconds) noexcept {
  const double most = 9e9;  // seconds that fit into the clock's nanoseconds
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::fmin(seconds, most) * 1e9));
}

bool must_give_up(lua_State* L, Run& run) {
  WaitNote* const note = wait_note();
  const std::int64_t since = note ? note->since.load(std::memory_order_relaxed) : 0;
  run.check(L, true);
  if (run.in_callback() && run.stop_due()) return true;
  if (note) note->resumed = since;
  return false;
}

}  // namespace osthread
