/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "references.h"

#include <stdint.h>
#include <string.h>

#include "lj_cdata.h"
#include "lj_ctype.h"
#include "lj_obj.h"

typedef struct Range {
  uintptr_t first;
  size_t size;
} Range;

/* The end, too: a pointer may go back from there. */
static int holds(const Range* range, uintptr_t pointer) { return pointer - range->first <= range->size; }

/* How far apart the pointers may lie that values of a type hold; 0: they hold none. References are pointers
 * to the FFI, too. In structures they lie anywhere, as these may be packed. */
static CTSize pointer_step(CTState* types, CType* type, int depth) {
  while (ctype_isarray(type->info)) type = ctype_rawchild(types, type);
  if (ctype_isptr(type->info)) return CTSIZE_PTR;
  if (!ctype_isstruct(type->info)) return 0;
  if (depth == 0) return 1;
  while (type->sib) {
    type = ctype_get(types, type->sib);
    if ((ctype_isfield(type->info) || ctype_isxattrib(type->info, CTA_SUBTYPE)) &&
        pointer_step(types, ctype_rawchild(types, type), depth - 1) != 0)
      return 1;
  }
  return 0;
}

static int refers(CTState* types, GCobj* object, const Range* range) {
  GCcdata* cdata;
  CTSize size, step, at;
  if (object->gch.gct != ~LJ_TCDATA) return 0;
  cdata = gco2cd(object);
  step = pointer_step(types, ctype_raw(types, cdata->ctypeid), 8);
  if (step == 0) return 0;
  size = cdataisv(cdata) ? cdatavlen(cdata) : lj_ctype_size(types, cdata->ctypeid);
  if (size == CTSIZE_INVALID) return 0;
  for (at = 0; at + CTSIZE_PTR <= size; at += step) {
    uintptr_t pointer;
    memcpy(&pointer, (char*)cdataptr(cdata) + at, sizeof(pointer));
    if (holds(range, pointer)) return 1;
  }
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

int osthread_in_finalizer(lua_State* L) { return (G(L)->hookmask & HOOK_GC) != 0; }
