/* How far the calling thread's C stack may grow. LuaJIT has no bound of its own: recursion through
 * string.gsub, table.sort or a C function would overflow it and end the process. */
#ifndef OSTHREAD_C_STACK_H
#define OSTHREAD_C_STACK_H

#ifdef __cplusplus
extern "C" {
#endif

/* The lowest address from which a C function may still be entered; null: not known, nothing is refused. What
 * lies below is for what the function needs itself, and for telling of the overflow. Thread-local, for the
 * calling thread; initial-exec, as a signal handler reads it. */
#if defined(__ELF__)
extern __thread const char* osthread_c_stack_limit __attribute__((tls_model("initial-exec")));
#else
extern __thread const char* osthread_c_stack_limit;
#endif

/* What an error handler has on top of that. */
enum { OSTHREAD_C_STACK_RESERVE = 24 * 1024 };

#ifdef __cplusplus
}
#endif

#endif
