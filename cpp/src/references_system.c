/* A LuaJIT of the system has no private headers to offer: what may have been referred to stays until the
 * state ends, and finalizers are not known. */
#include "references.h"

int osthread_refers_into(lua_State* L, const void* data, size_t size) {
  (void)L;
  (void)data;
  (void)size;
  return 1;
}

int osthread_in_finalizer(lua_State* L) {
  (void)L;
  return 0;
}
