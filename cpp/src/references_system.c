/* A LuaJIT of the system has no private headers to offer: what may have been referred to stays until the
 * state ends. */
#include "references.h"

int osthread_refers_into(lua_State* L, const void* data, size_t size) {
  (void)L;
  (void)data;
  (void)size;
  return 1;
}
