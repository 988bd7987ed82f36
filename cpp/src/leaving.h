/* What LuaJIT's calls, as far as they come by here (the *_bundled files), tell the run they are made in. */
#ifndef OSTHREAD_LEAVING_H
#define OSTHREAD_LEAVING_H

#include <lua.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A callback of the FFI begins in this coroutine, and ends. `frame`: an address on the C stack between the
 * function that calls back and the Lua code. */
void osthread_enter_callback(uintptr_t frame, lua_State* L, const void* cframe);
void osthread_leave_callback(uintptr_t frame);

/* Whether the C frame that a callback began in is none of its coroutine's any more: an error has skipped its
 * end. Told only while that coroutine runs; another may be gone. `L`: any of the state's. Async-signal-safe,
 * at a safe point. */
int osthread_callback_is_over(lua_State* L, const lua_State* coroutine, const void* cframe);

/* LuaJIT's own code is about to go on: leaves the run, if that is wanted and can be. */
void osthread_leave_if_asked(void);

#ifdef __cplusplus
}
#endif

#endif
