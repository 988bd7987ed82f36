#include <windows.h>

#include <stdexcept>

#include "interrupt.hpp"
#include "run.hpp"

namespace osthread::interrupt {
namespace {

// A real handle of the calling thread, which others may suspend it by; closed when the thread ends.
struct OwnHandle {
  HANDLE handle = nullptr;
  OwnHandle() {
    DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &handle, 0, FALSE,
                    DUPLICATE_SAME_ACCESS);
  }
  ~OwnHandle() {
    if (handle) CloseHandle(handle);
  }
};

}  // namespace

Target this_thread() {
  thread_local const OwnHandle own;
  return {reinterpret_cast<std::uintptr_t>(own.handle), Run::slot()};
}

void poke(Target target) noexcept {
  const auto thread = reinterpret_cast<HANDLE>(target.thread);
  if (GetThreadId(thread) == GetCurrentThreadId()) {
    Run::attend();
    return;
  }
  if (SuspendThread(thread) == static_cast<DWORD>(-1)) return;
  // From here until it resumes nothing may allocate or lock: the target may hold the heap's lock.
  CONTEXT context;
  context.ContextFlags = CONTEXT_CONTROL;
  if (GetThreadContext(thread, &context)) {  // asking for the context makes the suspension real
    Run::attend(target.slot);
    // What a signal does on POSIX: a blocking read returns. Only for a stop, as a write that has been
    // cancelled does not tell how much of it was done. Not later: it might meet what the cleanup reads or
    // writes.
    const Run* run = target.slot->innermost;
    if (run && run->stop_due()) CancelSynchronousIo(thread);
  }
  ResumeThread(thread);
}

void poke_this_thread() noexcept {}

int signal_number() noexcept { return 0; }

void set_signal(int number) {
  if (number != 0)
    throw std::invalid_argument("there are no signals on Windows: threads are reached without");
}

bool reaches_running_code() noexcept { return true; }
void let_signals_through() noexcept {}

}  // namespace osthread::interrupt
