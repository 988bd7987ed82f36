#include <windows.h>

#include "counted_call.hpp"

// LuaJIT's errors are exceptions of the system's here, for which GCC's frames do no cleanup: its handler
// passes all but C++'s own. So this frame has a handler of its own, which no C++ can have, and is written for
// the assembler; the handler finds what it needs at the bottom of the frame.
extern "C" int osthread_call_counted(lua_State* L, lua_CFunction function, std::atomic<int>* count);
static_assert(sizeof(std::atomic<int>) == 4 && std::atomic<int>::is_always_lock_free,
              "the code below counts");

asm(R"(
  .text
  .p2align 4
  .globl osthread_call_counted
  .def osthread_call_counted; .scl 2; .type 32; .endef
  .seh_proc osthread_call_counted
osthread_call_counted:
  subq $56, %rsp
  .seh_stackalloc 56
  .seh_handler osthread_restore_count, @unwind
  .seh_endprologue
  movq %r8, 32(%rsp)
  movl (%r8), %eax
  movl %eax, 40(%rsp)
  incl %eax
  movl %eax, (%r8)
  call *%rdx
  movq 32(%rsp), %r8
  movl 40(%rsp), %edx
  movl %edx, (%r8)
  addq $56, %rsp
  ret
  .seh_endproc
)");

namespace {

struct Frame {
  char room_for_arguments[32];
  std::atomic<int>* count;
  int before;
};

}  // namespace

extern "C" [[gnu::used]] EXCEPTION_DISPOSITION osthread_restore_count(EXCEPTION_RECORD* record, void* frame,
                                                                      CONTEXT*, void*) {
  const auto* counted = static_cast<const Frame*>(frame);
  if (record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND))
    counted->count->store(counted->before, std::memory_order_relaxed);
  return ExceptionContinueSearch;
}

namespace osthread {

int call_counted(std::atomic<int>& count, lua_State* L, lua_CFunction function) {
  return osthread_call_counted(L, function, &count);
}

}  // namespace osthread
