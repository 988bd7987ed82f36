/* A LuaJIT of the system has no private headers to offer: the state is closed, which runs the finalizers too.
 */
#include "state_end.h"

void osthread_run_finalizers(lua_State* L) { (void)L; }

void osthread_discard_state(lua_State* L, void* arena) {
  (void)arena;
  lua_close(L);
}

void osthread_on_finalizer_error(lua_State* L, lua_CFunction handler) {
  (void)L;
  (void)handler;
}

void osthread_leave_hook(lua_State* L) { (void)L; }

void osthread_hook_next_instruction(lua_State* L, lua_Hook hook) { lua_sethook(L, hook, LUA_MASKCOUNT, 1); }

int osthread_begin_collection(lua_State* L, unsigned* pace) {
  (void)L;
  (void)pace;
  return 0;
}

int osthread_end_collection(lua_State* L, unsigned pace) {
  (void)L;
  (void)pace;
  return 1;
}

int osthread_has_arena(void) { return 0; }
