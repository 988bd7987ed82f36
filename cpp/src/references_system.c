/* A LuaJIT of the system has no private headers to offer: what may have been referred to stays until the
 * state ends, and what interrupts is not known. */
#include "references.h"

void osthread_note_references(lua_State* L, osthread_Memory* memory, size_t count) {
  size_t i;
  (void)L;
  for (i = 0; i < count; ++i) memory[i].referred = 1;
}

int osthread_interrupts(lua_State* L) {
  (void)L;
  return 0;
}
