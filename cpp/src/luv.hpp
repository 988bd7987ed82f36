// luv, libuv's Lua module, so that a thread which runs its event loop can be stopped like any other. As it
// is, the process ends when a callback raises, be it a stop, and a loop that waits hears of nothing. So: an
// error of a callback comes out of uv.run, after the iteration that it happened in (of several, the first);
// and uv.run waits here, between iterations that do not, as libuv's documentation has it for loops within
// others.
//
// What stays: luv's other calls that wait (uv.sleep, file operations without a callback) end when they
// return, and threads that luv makes (uv.new_thread, uv.new_work) are luv's own. uv.loop_mode() says "nowait"
// in uv.run.
//
// Thread safety: a state's loop belongs to the thread that runs the state.
#pragma once

#include "lua_headers.hpp"

namespace osthread::luv {

// Whether the C function at `index`, of a module that has just been loaded, is luv's. If so, the module stays
// loaded for ever, since its threads go on when the state ends, and what opens it as above takes the place of
// the function (not with a libuv older than 1.44, or on Windows, where loops can't be waited for from
// outside).
bool adopt(lua_State* L, int index);

}  // namespace osthread::luv
