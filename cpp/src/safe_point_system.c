/* A LuaJIT of the system tells nobody where its text lies. */
#include "safe_point.h"

int osthread_has_safe_points(void) { return 0; }

int osthread_is_safe_text(uintptr_t address) {
  (void)address;
  return 0;
}

int osthread_is_safe_point(lua_State* L, uintptr_t program_counter) {
  (void)L;
  (void)program_counter;
  return 0;
}
