/* Errors of memory go through here (the linker's --wrap), as LuaJIT raises them in three places where they
 * crash it.
 *
 * A fast function that is written in assembler (string.sub, string.char) leaves the top of the stack wherever
 * the C function before it had it, which may be below its own frame: the message would be put into the
 * frame's link. (LuaJIT #906 is the same for Lua functions, and solved there.)
 *
 * A trace for which there was no memory before its start is noted is aborted all the same, and then the
 * instruction it would have started at is penalized, which is that of an older trace, or null. An abort
 * penalizes no return.
 *
 * What a handler of jit.attach is to be called with is put on the stack of a thread of LuaJIT's own, which
 * catches nothing: the messages would pile up there, beyond its end, and be missing where they are caught.
 * And an abort that can't be told is aborted for ever: such handlers are called no more. */
#include "lj_bc.h"
#include "lj_dispatch.h"
#include "lj_err.h"
#include "lj_frame.h"
#include "lj_jit.h"
#include "lj_obj.h"
#include "lj_vmevent.h"

LJ_NORET void __real_lj_err_mem(lua_State* L);
LJ_NORET void __wrap_lj_err_mem(lua_State* L);

void __wrap_lj_err_mem(lua_State* L) {
  global_State* g = G(L);
  jit_State* J = G2J(g);
#ifdef vmthread
  if (L == vmthread(g) && gcref(g->cur_L) && L != gco2th(gcref(g->cur_L))) {
    g->vmevmask &= VMEVENT_MASK(LJ_VMEVENT_ERRFIN);
    L->top = L->base;
    L = gco2th(gcref(g->cur_L));
    /* The abort's own error, which it will not take away any more. */
    if (J->state == LJ_TRACE_ERR) cframe_nres(cframe_raw(L->cframe)) += (int32_t)sizeof(TValue);
  }
#endif
  if (!tvref(g->jit_base) && L->top < L->base) L->top = L->base;
  if (J->state == LJ_TRACE_RECORD && (J->cur.traceno == 0 || !mref(J->cur.startpc, BCIns)))
    J->cur.startins = BCINS_AD(BC_RET0, 0, 1);
  __real_lj_err_mem(L);
}
