/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "references.h"

#include <stdint.h>
#include <string.h>

#include "lj_cdata.h"
#include "lj_ctype.h"
#include "lj_obj.h"

typedef struct Search {
  CTState* types;
  osthread_Memory* memory;
  size_t count;
} Search;

/* The end, too: a pointer may go back from there. */
static void note(const Search* search, uintptr_t pointer) {
  size_t low = 0, high = search->count; /* what begins there or before */
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if ((uintptr_t)search->memory[middle].data <= pointer)
      low = middle + 1;
    else
      high = middle;
  }
  if (low > 0 && pointer - (uintptr_t)search->memory[low - 1].data <= search->memory[low - 1].size)
    search->memory[low - 1].referred = 1;
}

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

static void note_object(const Search* search, GCobj* object) {
  GCcdata* cdata;
  CTSize size, step, at;
  if (object->gch.gct != ~LJ_TCDATA) return;
  cdata = gco2cd(object);
  step = pointer_step(search->types, ctype_raw(search->types, cdata->ctypeid), 8);
  if (step == 0) return;
  size = cdataisv(cdata) ? cdatavlen(cdata) : lj_ctype_size(search->types, cdata->ctypeid);
  if (size == CTSIZE_INVALID) return;
  for (at = 0; at + CTSIZE_PTR <= size; at += step) {
    uintptr_t pointer;
    memcpy(&pointer, (char*)cdataptr(cdata) + at, sizeof(pointer));
    note(search, pointer);
  }
}

void osthread_note_references(lua_State* L, osthread_Memory* memory, size_t count) {
  global_State* g = G(L);
  const Search search = {ctype_ctsG(g), memory, count};
  GCobj* last = gcref(g->gc.mmudata); /* a ring of those whose finalizers are due */
  GCobj* object = last;
  size_t i;
  for (i = 0; i < count; ++i) memory[i].referred = 0;
  if (last) do {
      object = gcref(object->gch.nextgc);
      note_object(&search, object);
    } while (object != last);
  for (object = gcref(g->gc.root); object; object = gcref(object->gch.nextgc)) note_object(&search, object);
}

int osthread_interrupts(lua_State* L) {
  return (G(L)->hookmask & (HOOK_ACTIVE | HOOK_VMEVENT | HOOK_GC)) != 0;
}
