/* Where a thread may leave a lua_State for good, so that nothing is left half done but what goes with the
 * state.
 *
 * A safe point is an instruction of LuaJIT's own text, but for the files whose half-done steps must not be
 * seen (third_party/luajit/CMakeLists.txt names them), or of machine code that this state's compiler has
 * emitted. */
#ifndef OSTHREAD_SAFE_POINT_H
#define OSTHREAD_SAFE_POINT_H

#include <lua.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether this build knows safe points at all. */
int osthread_has_safe_points(void);

/* Whether an address is in LuaJIT's own safe text. */
int osthread_is_safe_text(uintptr_t address);

/* Async-signal-safe, on the state's thread (or while that stands still). */
int osthread_is_safe_point(lua_State* L, uintptr_t program_counter);

#ifdef __cplusplus
}
#endif

#endif
