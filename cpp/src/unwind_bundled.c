/* Lua errors leave machine code without the C++ runtime's help.
 *
 * LuaJIT registers each area of machine code with the runtime, whose unwinder then looks every address up
 * under one lock of the process: errors of several threads wait for each other, and in a fork's child the
 * lock stays taken for ever if a thread of the parent's held it. So nothing is registered; the linker sends
 * these calls here (--wrap). An error that comes up under machine code can only be meant for the trace that
 * it belongs to: LuaJIT unwinds a trace by leaving it through its exit. So we walk up to that frame, whose
 * registers the runtime restores on the way, and go on at the exit. It is what LuaJIT itself does on Windows
 * (err_unwind_win_jit); from the exit on, its interpreter unwinds as always. */
#include <stddef.h>
#include <stdint.h>

#define LUAJIT_UNWIND_EXTERNAL /* as LuaJIT's Makefile has it on x86-64 */
#include "lj_dispatch.h"
#include "lj_jit.h"
#include "lj_obj.h"
#include "lj_trace.h"

/* The parts of the Itanium C++ ABI for x86-64 that are needed, by the names of <unwind.h>, which LuaJIT's
 * sources avoid as well. */
typedef struct {
  uint64_t class;
  void (*cleanup)(int, void*);
  uintptr_t private_1, private_2;
} __attribute__((aligned)) Exception;
typedef struct _Unwind_Context Context;
static const uint64_t kLuaClass = 0x4c55414a49543200u; /* lj_err.c: "LUAJIT2" above a status code */
enum { kGoOn = 0, kStop = 4 };
enum { kRbx = 3, kRbp = 6, kR12 = 12, kR13 = 13, kR14 = 14, kR15 = 15 }; /* DWARF's register numbers */
extern int _Unwind_Backtrace(int (*visit)(Context*, void*), void*);
extern uintptr_t _Unwind_GetIP(Context*);
extern uintptr_t _Unwind_GetCFA(Context*);
extern uintptr_t _Unwind_GetGR(Context*, int);

/* What lj_err.c throws: its personality functions take the state from behind the exception, too. */
typedef struct {
  Exception exception;
  global_State* g;
} LuaException;

int __real__Unwind_RaiseException(Exception*);
int __wrap__Unwind_RaiseException(Exception*);
void __wrap___register_frame(const void*);
void __wrap___deregister_frame(const void*);

typedef struct {
  uintptr_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
} Registers;

typedef struct {
  jit_State* J;
  Registers at;
} Search;

static int is_machine_code(const jit_State* J, uintptr_t address) {
  const MCode* area;
  for (area = J->mcarea; area; area = ((const MCLink*)area)->next)
    if (address - (uintptr_t)area < ((const MCLink*)area)->size) return 1;
  return 0;
}

static int visit(Context* context, void* argument) {
  Search* search = argument;
  Registers* at = &search->at;
  ExitNo exit;
  const uintptr_t address = _Unwind_GetIP(context) - sizeof(MCode); /* of the call, not behind it */
  if (!is_machine_code(search->J, address)) return kGoOn;
  at->rip = lj_trace_unwind(search->J, address, &exit);
  at->rbx = _Unwind_GetGR(context, kRbx);
  at->rbp = _Unwind_GetGR(context, kRbp);
  at->r12 = _Unwind_GetGR(context, kR12);
  at->r13 = _Unwind_GetGR(context, kR13);
  at->r14 = _Unwind_GetGR(context, kR14);
  at->r15 = _Unwind_GetGR(context, kR15);
  at->rsp = _Unwind_GetCFA(context);
  return kStop;
}

/* A trace keeps what it needs after a call in registers that calls preserve, or on the stack. Not inlined:
 * AddressSanitizer forgets the frames that are left where it sees a call that does not return. */
__attribute__((noreturn, noinline)) static void go_on_at(const Registers* at) {
  __asm__ volatile(
      "movq 0(%0), %%rbx\n\t"
      "movq 8(%0), %%rbp\n\t"
      "movq 16(%0), %%r12\n\t"
      "movq 24(%0), %%r13\n\t"
      "movq 32(%0), %%r14\n\t"
      "movq 40(%0), %%r15\n\t"
      "movq 56(%0), %%rcx\n\t" /* before the stack pointer moves: a signal may overwrite what lies below it */
      "movq 48(%0), %%rsp\n\t"
      "jmpq *%%rcx"
      :
      : "a"(at)
      : "memory");
  __builtin_unreachable();
}

int __wrap__Unwind_RaiseException(Exception* exception) {
  /* A C++ exception comes here if the C++ library is linked in as well. */
  const int is_lua = (exception->class & ~(uint64_t)0xff) == kLuaClass;
  global_State* g = is_lua ? ((const LuaException*)exception)->g : NULL;
  if (is_lua && tvref(g->jit_base)) {
    Search search = {G2J(g), {0, 0, 0, 0, 0, 0, 0, 0}};
    _Unwind_Backtrace(visit, &search);
    if (search.at.rip) {
      search.J->exitcode = (int)(exception->class & 0xff);
      go_on_at(&search.at);
    }
  }
  return __real__Unwind_RaiseException(exception);
}

void __wrap___register_frame(const void* begin) { (void)begin; }
void __wrap___deregister_frame(const void* begin) { (void)begin; }
