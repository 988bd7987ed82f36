/* What LuaJIT's calls, as far as they come by here (the *_bundled files), tell the run they are made in. */
#ifndef OSTHREAD_LEAVING_H
#define OSTHREAD_LEAVING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A callback of the FFI begins and ends. `frame`: an address on the C stack between the function that calls
 * back and the Lua code. */
void osthread_enter_callback(uintptr_t frame);
void osthread_leave_callback(uintptr_t frame);

/* LuaJIT's own code is about to go on: leaves the run, if that is wanted and can be. */
void osthread_leave_if_asked(void);

#ifdef __cplusplus
}
#endif

#endif
