/* Which memory of others the FFI's pointers and references in a state lead to. */
#ifndef OSTHREAD_REFERENCES_H
#define OSTHREAD_REFERENCES_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether an object of the state's, or one that has died and is not collected yet, is or holds a pointer or a
 * reference into these bytes. Looks at all its objects, which takes about as long as marking them in a
 * collection. Not from compiled code, which may keep a pointer in a register alone. */
int osthread_refers_into(lua_State* L, const void* data, size_t size);

/* Whether a finalizer of the state's is running, as far as can be known: what it interrupts may be any
 * access. */
int osthread_in_finalizer(lua_State* L);

#ifdef __cplusplus
}
#endif
#endif
