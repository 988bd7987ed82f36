/* How far the calling thread's C stack may grow. LuaJIT has no bound of its own: recursion through
 * string.gsub, table.sort or a C function would overflow it and end the process. */
#ifndef OSTHREAD_C_STACK_H
#define OSTHREAD_C_STACK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the stack ends, at its lowest; 0: not known, nothing is refused. Thread-local, for the calling
 * thread; initial-exec, as a signal handler reads it. */
#if defined(__ELF__)
extern __thread uintptr_t osthread_c_stack_low __attribute__((tls_model("initial-exec")));
#else
extern __thread uintptr_t osthread_c_stack_low;
#endif

/* What is left for a C function that is still entered, and for telling of the overflow; less for a message
 * handler, or the error could not be told. */
enum { OSTHREAD_C_STACK_RESERVE = 96 * 1024, OSTHREAD_C_STACK_LAST = 72 * 1024 };

/* Whether `frame` is so near the stack's end. Not if it lies on another stack, a fiber's: that is not known.
 */
static inline int osthread_near_stack_end(const void* frame, uintptr_t reserve) {
  const uintptr_t low = osthread_c_stack_low;
  return low != 0 && (uintptr_t)frame - low < reserve;
}

#ifdef __cplusplus
}
#endif

#endif
