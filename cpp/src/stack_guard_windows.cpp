#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#endif
#include "stack_guard.hpp"

#include <windows.h>

#include <malloc.h>

#include <cstddef>
#include <cstdint>

#include "c_stack.h"
#include "run.hpp"
#include "stack_bounds.hpp"

namespace osthread::stack_guard {
namespace {

// What the system keeps at the stack's end for whoever handles an overflow: the room to go on in.
constexpr ULONG kRoom = 32 * 1024;
constexpr std::size_t kPage = 4096;
// The pages that are the system's own: the last, which is never there, and the guard page.
constexpr std::size_t kSystems = 2 * kPage;

// It only sends the thread on, so that the system's own frames end.
LONG CALLBACK on_exception(EXCEPTION_POINTERS* exception) noexcept {
  if (exception->ExceptionRecord->ExceptionCode != EXCEPTION_STACK_OVERFLOW || !Run::current())
    return EXCEPTION_CONTINUE_SEARCH;
  CONTEXT& context = *exception->ContextRecord;
  if (Run::overflow_at(context.Rip, false)) {
    constexpr std::uintptr_t kReturnAddress = 8;  // a function finds it on the stack, which is else aligned
    context.Rip = reinterpret_cast<std::uintptr_t>(&Run::leave_here);
    context.Rsp = (context.Rsp & ~std::uintptr_t{15}) - kReturnAddress;
  } else {
    Run::leave_for_overflow();  // it goes on where it was
  }
  return EXCEPTION_CONTINUE_EXECUTION;
}

// Windows puts the guard page above what it keeps. Wine knows how much that is, but leaves the page near the
// stack's very end, where its handler has no room.
void raise_guard_page(std::uintptr_t low) noexcept {
  MEMORY_BASIC_INFORMATION last{};
  auto* const at = reinterpret_cast<void*>(low + kPage);
  if (::VirtualQuery(at, &last, sizeof last) == 0) return;
  if (last.State != MEM_COMMIT || (last.Protect & PAGE_GUARD) == 0 || last.RegionSize >= kRoom) return;
  DWORD before = 0;
  ::VirtualProtect(at, kRoom, PAGE_READWRITE | PAGE_GUARD, &before);
}

}  // namespace

void watch_this_thread() {
  const StackBounds bounds = current_stack();
  if (bounds.low == 0) return;
  osthread_c_stack_low = bounds.low + kSystems + kRoom;
  // First of all handlers, as a frame's may take it for an error of its own.
  static const bool handled = ::AddVectoredExceptionHandler(1, on_exception) != nullptr;
  ULONG guaranteed = kRoom;
  if (handled && ::SetThreadStackGuarantee(&guaranteed)) raise_guard_page(bounds.low);
}

// The guard page is there once: it has to be put back.
void close_room() noexcept { ::_resetstkoflw(); }

}  // namespace osthread::stack_guard
