// What C functions that wait have in common.
#pragma once

#include <optional>

#include "lua_headers.hpp"
#include "osthread/native_thread.hpp"
#include "run.hpp"
#include "waiter.hpp"

namespace osthread {

// The run of this very state, in which a wait begins; a Lua error if there is none.
Run& own_run(lua_State* L);

// The argument `timeout` at `index`, in seconds: nil (no deadline), or 0 or more; else a Lua error.
std::optional<Clock::time_point> deadline_at(lua_State* L, int index, const char* function);

// Of seconds, 0 or more.
std::chrono::nanoseconds duration_of(double seconds) noexcept;

// After a wait that was neither over nor out of time: raises the stop, if one is due. Whether to give up all
// the same, as no error may be raised here (a function of C has called back).
bool must_give_up(lua_State* L, Run& run);

}  // namespace osthread
