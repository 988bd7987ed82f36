#include <windows.h>

#include <cstdint>
#include <stdexcept>

#include "interrupt.hpp"
#include "run.hpp"
#include "stack_guard.hpp"

namespace osthread::interrupt {
namespace {

void WINAPI close_handle(void* handle) { CloseHandle(handle); }

// Not a thread_local with a destructor: mingw-w64 calls that when the memory of thread_locals has been given
// back already.
const DWORD own_handle = FlsAlloc(close_handle);

// A real handle of the calling thread, which others may suspend it by; closed when the thread ends.
HANDLE handle_of_this_thread() noexcept {
  if (void* const kept = FlsGetValue(own_handle)) return kept;
  HANDLE handle = nullptr;
  DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &handle, 0, FALSE,
                  DUPLICATE_SAME_ACCESS);
  if (handle && !FlsSetValue(own_handle, handle)) {
    CloseHandle(handle);
    return nullptr;
  }
  return handle;
}

// Held while a thread is suspended: of two that suspend each other none would go on. Not a std::mutex, which
// allocates.
SRWLOCK suspending = SRWLOCK_INIT;

// The thread goes on in land() as if it had called that where it was interrupted. Below that place lies a
// frame of LuaJIT's that is not needed any more; the room is for functions that use some below their own.
bool redirect(HANDLE thread, CONTEXT& context) noexcept {
  constexpr std::uintptr_t kRoom = 512;
  constexpr std::uintptr_t kReturnAddress = 8;  // a function finds it on the stack, which is else aligned
  context.Rip = reinterpret_cast<std::uintptr_t>(&Run::leave_here);
  context.Rsp = ((context.Rsp - kRoom) & ~std::uintptr_t{15}) - kReturnAddress;
  return SetThreadContext(thread, &context) != 0;
}

}  // namespace

Target this_thread() {
  thread_local bool reachable = false;
  if (!reachable) {
    stack_guard::watch_this_thread();
    reachable = true;
  }
  return {reinterpret_cast<std::uintptr_t>(handle_of_this_thread()), Run::slot()};
}

void poke(Target target) noexcept {
  const auto thread = reinterpret_cast<HANDLE>(target.thread);
  if (GetThreadId(thread) == GetCurrentThreadId()) {
    // From here, which is no safe point, it does not leave.
    (void)Run::attend_at(target.slot, 0, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
    return;
  }
  AcquireSRWLockExclusive(&suspending);
  if (SuspendThread(thread) != static_cast<DWORD>(-1)) {
    // From here until it resumes nothing may allocate or lock: the target may hold the heap's lock.
    CONTEXT context;
    context.ContextFlags = CONTEXT_CONTROL;
    if (GetThreadContext(thread, &context)) {  // asking for the context makes the suspension real
      const bool leaves = Run::attend_at(target.slot, context.Rip, context.Rsp);
      // What a signal does on POSIX: a blocking read returns. Only for a stop, as a write that has been
      // cancelled does not tell how much of it was done. Not later: it might meet what the cleanup reads or
      // writes.
      const Run* run = target.slot->innermost;
      if (!(leaves && redirect(thread, context)) && run && run->stop_due()) CancelSynchronousIo(thread);
    }
    ResumeThread(thread);
  }
  ReleaseSRWLockExclusive(&suspending);
}

void poke_this_thread() noexcept {}

int signal_number() noexcept { return 0; }

void set_signal(int number) {
  if (number != 0)
    throw std::invalid_argument("there are no signals on Windows: threads are reached without");
}

void require_choice() {}

bool reaches_running_code() noexcept { return true; }
void let_signals_through() noexcept {}

}  // namespace osthread::interrupt
