/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "references.h"

#include <stdint.h>

#include "lj_cdata.h"
#include "lj_ctype.h"
#include "lj_obj.h"

typedef struct Range {
  uintptr_t first;
  size_t size;
} Range;

/* The end, too: a pointer may go back from there. */
static int holds(const Range* range, uintptr_t pointer) { return pointer - range->first <= range->size; }

/* Whether values of a type may hold pointers. References are pointers to the FFI, too. */
static int may_point(CTState* types, CType* type) {
  while (ctype_isarray(type->info)) type = ctype_rawchild(types, type);
  return ctype_isptr(type->info) || ctype_isstruct(type->info);
}

static int refers(CTState* types, GCobj* object, const Range* range) {
  GCcdata* cdata;
  CTSize size, at;
  if (object->gch.gct != ~LJ_TCDATA) return 0;
  cdata = gco2cd(object);
  if (!may_point(types, ctype_raw(types, cdata->ctypeid))) return 0;
  size = cdataisv(cdata) ? cdatavlen(cdata) : lj_ctype_size(types, cdata->ctypeid);
  if (size == CTSIZE_INVALID) return 0;
  for (at = 0; at + CTSIZE_PTR <= size; at += CTSIZE_PTR)
    if (holds(range, (uintptr_t)cdata_getptr((char*)cdataptr(cdata) + at, CTSIZE_PTR))) return 1;
  return 0;
}

int osthread_refers_into(lua_State* L, const void* data, size_t size) {
  global_State* g = G(L);
  CTState* types = ctype_ctsG(g);
  const Range range = {(uintptr_t)data, size};
  GCobj* last = gcref(g->gc.mmudata); /* a ring of those whose finalizers are due */
  GCobj* object = last;
  if (last) do {
      object = gcref(object->gch.nextgc);
      if (refers(types, object, &range)) return 1;
    } while (object != last);
  for (object = gcref(g->gc.root); object; object = gcref(object->gch.nextgc))
    if (refers(types, object, &range)) return 1;
  return 0;
}
