/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "references.h"

#include <stdint.h>

#include "lj_cdata.h"
#include "lj_ctype.h"
#include "lj_obj.h"

int osthread_refers_into(lua_State* L, const void* data, size_t size) {
  CTState* types = ctype_ctsG(G(L));
  const GCobj* object = gcref(G(L)->gc.root);
  for (; object; object = gcref(object->gch.nextgc)) {
    const GCcdata* cdata;
    if (object->gch.gct != ~LJ_TCDATA) continue;
    cdata = gco2cd(object);
    /* References are pointers to the FFI, too. */
    if (!ctype_isptr(ctype_raw(types, cdata->ctypeid)->info)) continue;
    if ((uintptr_t)cdata_getptr(cdataptr(cdata), CTSIZE_PTR) - (uintptr_t)data < size) return 1;
  }
  return 0;
}
