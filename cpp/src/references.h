/* Which memory of others the FFI's pointers and references in a state lead to. */
#ifndef OSTHREAD_REFERENCES_H
#define OSTHREAD_REFERENCES_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct osthread_Memory {
  const void* data;
  size_t size;
  int referred;
} osthread_Memory;

/* Notes of each of these, which are in the order of their addresses, with something between them, whether an
 * object of the state's, or one that has died and is not collected yet, is or holds a pointer or a reference
 * into it. Looks at all its objects once, which takes about as long as marking them in a collection. Not from
 * compiled code, which may keep a pointer in a register alone. */
void osthread_note_references(lua_State* L, osthread_Memory* memory, size_t count);

/* Whether what runs has interrupted other code of the state's, which may be in the midst of anything: a
 * finalizer, a hook, a callback of the VM's; as far as can be known. */
int osthread_interrupts(lua_State* L);

#ifdef __cplusplus
}
#endif
#endif
