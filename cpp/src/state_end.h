/* How a lua_State ends: its finalizers run while it is whole, then its memory is given back at once instead
 *of object by
 ** object. The bundled LuaJIT does both (state_end_bundled.c); a system's LuaJIT can only close
 *(state_end_system.c). */
#ifndef OSTHREAD_STATE_END_H
#define OSTHREAD_STATE_END_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs every __gc and ffi.gc finalizer that is due when a state ends, in lua_close's order, so that files are
 *flushed.
 ** Nothing but osthread_discard_state may be done with the state afterwards. */
void osthread_run_finalizers(lua_State* L);

/* Gives back the state's arena and machine code without running anything of it. Blocks that the arena does
 *not know
 ** (MemoryQuota's large ones) are the caller's to free before. */
void osthread_discard_state(lua_State* L, void* arena);

/* `handler` is called with the error of a finalizer, which has ended that finalizer alone. Inside a protected
 * call. A LuaJIT of the system goes on printing it. */
void osthread_on_finalizer_error(lua_State* L, lua_CFunction handler);

/* For an error raised in a hook: what runs before the stack unwinds (a message handler) may be hooked again.
 */
void osthread_leave_hook(lua_State* L);

/* lua_sethook(L, hook, LUA_MASKCOUNT, 1), from a signal handler. While LuaJIT records a trace, lua_sethook
 * would abort it in the middle of whatever the recorder does, which then takes it for a failure of its own,
 * or starts a side trace while another is under way (with assertions LuaJIT says so). There the hook is only
 * put in its place: recording looks for one before each instruction, and calling it aborts the trace. */
void osthread_hook_next_instruction(lua_State* L, lua_Hook hook);

/* Has the collector finish its cycle, or do a whole one, at its next chance, in one go; from inside the
 * allocator. 0: it is stopped, and stays so. `pace` is for the other call, which is due until it has said
 * that the cycle is over: it puts the pace back. */
int osthread_begin_collection(lua_State* L, unsigned* pace);
int osthread_end_collection(lua_State* L, unsigned pace);

/* Whether a state's memory comes from an arena of LuaJIT's own. */
int osthread_has_arena(void);

#ifdef __cplusplus
}
#endif

#endif
