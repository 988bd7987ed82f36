/* Compiled against the private headers of the LuaJIT that is linked in, whose functions these are. */
#include "state_end.h"

#include <lauxlib.h>
#include <luajit.h>

#include "lj_alloc.h"
#include "lj_ccallback.h"
#include "lj_ctype.h"
#include "lj_dispatch.h"
#include "lj_func.h"
#include "lj_gc.h"
#include "lj_jit.h"
#include "lj_mcode.h"
#include "lj_obj.h"
#include "lj_trace.h"
#include "lj_vm.h"
#include "lj_vmevent.h"

/* A finalizer may make more objects with finalizers; LuaJIT gives up after as many rounds. */
enum { kMostRounds = 10 };

static TValue* finalize_all(lua_State* L, lua_CFunction unused, void* ud) {
  (void)unused;
  (void)ud;
  lj_gc_finalize_cdata(L);
  lj_gc_finalize_udata(L);
  return NULL;
}

void osthread_run_finalizers(lua_State* L) {
  global_State* g = G(L);
  int done = 0;
  luaJIT_profile_stop(L); /* its timer would go on with a state that is gone */
  L = mainthread(g);
  setgcrefnull(g->cur_L);
  lj_func_closeuv(L, tvref(L->stack));
  lj_gc_separateudata(g, 1);
  /* Traces must not be recorded or entered while the state is taken apart. */
  G2J(g)->flags &= ~(uint32_t)JIT_F_ON;
  G2J(g)->state = LJ_TRACE_IDLE;
  lj_dispatch_update(g);
  while (done < kMostRounds) {
    hook_enter(g);
    L->status = LUA_OK;
    L->base = L->top = tvref(L->stack) + 1 + LJ_FR2;
    L->cframe = NULL;
    /* An error in a finalizer ends that finalizer; the others get their turn in the next round. */
    if (lj_vm_cpcall(L, NULL, NULL, finalize_all) != LUA_OK) continue;
    done++;
    lj_gc_separateudata(g, 1);
    if (gcref(g->gc.mmudata) == NULL) break;
  }
}

void osthread_discard_state(lua_State* L, void* arena) {
  luaJIT_profile_stop(L);
  CTState* cts = ctype_ctsG(G(L));
  if (cts) lj_ccallback_mcode_free(cts);
  lj_mcode_free(L2J(L));
  lj_alloc_destroy(arena);
}

void osthread_on_finalizer_error(lua_State* L, lua_CFunction handler) {
  luaL_findtable(L, LUA_REGISTRYINDEX, LJ_VMEVENTS_REGKEY, LJ_VMEVENTS_HSIZE);
  lua_pushcfunction(L, handler);
  lua_rawseti(L, -2, VMEVENT_HASH(LJ_VMEVENT_ERRFIN));
  lua_pop(L, 1);
}

void osthread_leave_hook(lua_State* L) { G(L)->hookmask &= (uint8_t)~HOOK_ACTIVE; }

void osthread_hook_next_instruction(lua_State* L, lua_Hook hook) {
  global_State* g = G(L);
  if (L2J(L)->state == LJ_TRACE_IDLE) {
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    return;
  }
  g->hookf = hook;
  g->hookcount = g->hookcstart = 1;
  g->hookmask = (uint8_t)((g->hookmask & ~HOOK_EVENTMASK) | LUA_MASKCOUNT);
}

/* A threshold that is passed at once, and that no cycle ends with. */
enum { kNow = 1 };

int osthread_begin_collection(lua_State* L, unsigned* pace) {
  global_State* g = G(L);
  if (g->gc.threshold >= LJ_MAX_MEM) return 0;
  *pace = g->gc.stepmul;
  g->gc.stepmul = 0; /* lj_gc_step(): no limit */
  g->gc.threshold = kNow;
  return 1;
}

int osthread_end_collection(lua_State* L, unsigned pace) {
  global_State* g = G(L);
  /* Machine code leaves before the atomic phase, and the interpreter goes on with it. */
  if (g->gc.threshold == kNow || g->gc.threshold >= LJ_MAX_MEM || g->gc.state != GCSpause) return 0;
  if (g->gc.stepmul == 0) g->gc.stepmul = pace; /* otherwise the script has set one meanwhile */
  g->gc.debt = 0;
  return 1;
}

int osthread_has_arena(void) { return 1; }
