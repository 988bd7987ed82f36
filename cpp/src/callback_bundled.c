/* Code that somebody's C function calls back through FFI runs on top of frames that must not be skipped: the
 * run is told (the linker's --wrap). */
#include <stddef.h>

#include "leaving.h"
#include "lj_ccallback.h"
#include "lj_frame.h"
#include "lj_obj.h"

lua_State* __real_lj_ccallback_enter(CTState* cts, void* cf);
void __real_lj_ccallback_leave(CTState* cts, TValue* o);
lua_State* __wrap_lj_ccallback_enter(CTState* cts, void* cf);
void __wrap_lj_ccallback_leave(CTState* cts, TValue* o);

/* The Lua code runs in the frame that has called us, a little above ours. */
static uintptr_t callers(const void* frame) { return (uintptr_t)frame + 64; }

lua_State* __wrap_lj_ccallback_enter(CTState* cts, void* cf) {
  /* Told before, as the real one may raise; in which coroutine it is then. */
  osthread_enter_callback(callers(__builtin_frame_address(0)), cts->L, cf);
  return __real_lj_ccallback_enter(cts, cf);
}

int osthread_callback_is_over(lua_State* L, const lua_State* coroutine, const void* cframe) {
  void* at;
  if (gcref(G(L)->cur_L) != obj2gco(coroutine)) return 0;
  for (at = coroutine->cframe; at; at = cframe_prev(cframe_raw(at)))
    if (cframe_raw(at) == cframe) return 0;
  return 1;
}

void __wrap_lj_ccallback_leave(CTState* cts, TValue* o) {
  __real_lj_ccallback_leave(cts, o);
  osthread_leave_callback(callers(__builtin_frame_address(0)));
}
