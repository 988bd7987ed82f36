/* The library ffi is opened here (the linker's --wrap), as LuaJIT's parser opens it, too, at the first 64-bit
 * literal: then nobody asks package.preload for it. */
#include <lua.h>

int __real_luaopen_ffi(lua_State* L);
int __wrap_luaopen_ffi(lua_State* L);
void osthread_ffi_opened(lua_State* L);

int __wrap_luaopen_ffi(lua_State* L) {
  const int results = __real_luaopen_ffi(L);
  osthread_ffi_opened(L);
  return results;
}
