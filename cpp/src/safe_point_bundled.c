/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "safe_point.h"

#include "lj_dispatch.h"
#include "lj_jit.h"
#include "lj_mcode.h"
#include "lj_obj.h"

#ifdef OSTHREAD_HAS_SAFE_TEXT
/* Set by the linker: LuaJIT's build puts its safe text into a section of that name. */
extern const char __start_lj_text[], __stop_lj_text[];

int osthread_has_safe_points(void) { return 1; }

int osthread_is_safe_text(uintptr_t pc) {
  return pc - (uintptr_t)__start_lj_text < (uintptr_t)__stop_lj_text - (uintptr_t)__start_lj_text;
}
#else
int osthread_has_safe_points(void) { return 0; }
int osthread_is_safe_text(uintptr_t pc) {
  (void)pc;
  return 0;
}
#endif

int osthread_is_safe_point(lua_State* L, uintptr_t pc) {
  const MCode* area;
  if (osthread_is_safe_text(pc)) return 1;
  for (area = L2J(L)->mcarea; area; area = ((const MCLink*)area)->next)
    if (pc - (uintptr_t)area < ((const MCLink*)area)->size) return osthread_has_safe_points();
  return 0;
}
