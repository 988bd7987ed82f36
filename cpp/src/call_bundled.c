/* Every call from C into Lua goes through here (the linker's --wrap), so that recursion through C functions
 * is an error before it meets the end of the C stack. What LuaJIT calls without C, coroutines for one, is not
 * seen: that is for the guard page (stack_guard.hpp). */
#include <lauxlib.h>

#include "c_stack.h"
#include "lj_obj.h"
#include "lj_vm.h"

void __real_lj_vm_call(lua_State* L, TValue* base, int nres1);
void __wrap_lj_vm_call(lua_State* L, TValue* base, int nres1);

void __wrap_lj_vm_call(lua_State* L, TValue* base, int nres1) {
  /* The status of a message handler's call. */
  const uintptr_t reserve = L->status == LUA_ERRERR ? OSTHREAD_C_STACK_LAST : OSTHREAD_C_STACK_RESERVE;
  if (osthread_near_stack_end(__builtin_frame_address(0), reserve)) luaL_error(L, "C stack overflow");
  __real_lj_vm_call(L, base, nres1);
}
