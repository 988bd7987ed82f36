/* Lua errors find their way through machine code without a lock.
 *
 * LuaJIT registers each area of machine code with the C++ runtime, whose unwinder then looks every address up
 * under one lock of the process: errors of several threads wait for each other, and in a fork's child the
 * lock stays taken for ever if a thread of the parent's held it. So nothing is registered. The library has an
 * unwinder of its own (-static-libgcc), and where that knows no unwind table for an address, the linker sends
 * the question here (--wrap): a Lua error only ever crosses machine code of the state that raises it, and its
 * own thread may look through that state's areas as it likes. */
#include <stddef.h>
#include <stdint.h>

#include "lj_dispatch.h"
#include "lj_jit.h"
#include "lj_obj.h"

typedef struct {
  uint64_t class;
  void (*cleanup)(int, void*);
  uintptr_t private_1, private_2;
} __attribute__((aligned)) Exception; /* the ABI's _Unwind_Exception */

/* What lj_err.c throws; `g` is what its personality for machine code reads, too. */
typedef struct {
  Exception exception;
  global_State* g;
} LuaException;

typedef struct {
  void *text, *data, *function;
} Bases; /* libgcc's dwarf_eh_bases */

/* lj_err.c: "LUAJIT2" above a status code; and where lj_err_register_mcode() puts the frame description. */
static const uint64_t kLuaClass = 0x4c55414a49543200u;
enum { kFrameDescription = 0x20, kDescriptions = 0x3c };

/* The state whose error is on its way in this thread; of no meaning once it has arrived. */
static __thread global_State* raising __attribute__((tls_model("initial-exec")));

int __real__Unwind_RaiseException(Exception*);
int __wrap__Unwind_RaiseException(Exception*);
__attribute__((noreturn)) void __real__Unwind_Resume(Exception*);
__attribute__((noreturn)) void __wrap__Unwind_Resume(Exception*);
const void* __real__Unwind_Find_FDE(void*, Bases*);
const void* __wrap__Unwind_Find_FDE(void*, Bases*);
void __wrap___register_frame(const void*);
void __wrap___deregister_frame(const void*);

static void note(const Exception* exception) {
  const int is_lua = (exception->class & ~(uint64_t)0xff) == kLuaClass;
  raising = is_lua ? ((const LuaException*)exception)->g : NULL;
}

int __wrap__Unwind_RaiseException(Exception* exception) {
  note(exception);
  return __real__Unwind_RaiseException(exception);
}

/* A C++ frame that the error crosses has cleaned up. */
void __wrap__Unwind_Resume(Exception* exception) {
  note(exception);
  __real__Unwind_Resume(exception);
}

const void* __wrap__Unwind_Find_FDE(void* address, Bases* bases) {
  const void* found = __real__Unwind_Find_FDE(address, bases);
  const MCode* area;
  if (found || !raising) return found;
  for (area = G2J(raising)->mcarea; area; area = ((const MCLink*)area)->next) {
    const char* begin = (const char*)area;
    if ((const char*)address < begin || (const char*)address >= begin + ((const MCLink*)area)->size) continue;
    begin += sizeof(MCLink);
    bases->text = bases->data = NULL;
    bases->function = (void*)(begin + kDescriptions);
    return begin + kFrameDescription;
  }
  return NULL;
}

void __wrap___register_frame(const void* begin) { (void)begin; }
void __wrap___deregister_frame(const void* begin) { (void)begin; }
