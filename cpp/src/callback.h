/* What the FFI's callbacks tell the run they run in. */
#ifndef OSTHREAD_CALLBACK_H
#define OSTHREAD_CALLBACK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `frame`: an address on the C stack between the function that calls back and the Lua code. */
void osthread_enter_callback(uintptr_t frame);
void osthread_leave_callback(uintptr_t frame);

#ifdef __cplusplus
}
#endif

#endif
