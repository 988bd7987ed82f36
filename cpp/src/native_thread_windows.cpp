#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#endif
#include <windows.h>

#include <process.h>

#include <bit>
#include <cerrno>
#include <climits>
#include <string>

#include "native_thread_os.hpp"

namespace osthread {
namespace {

unsigned __stdcall new_thread(void* argument) {
  os::run_new_thread(argument);
  return 0;
}

HANDLE to_handle(std::uintptr_t handle) noexcept { return std::bit_cast<HANDLE>(handle); }

std::error_code last_error() noexcept { return {static_cast<int>(::GetLastError()), std::system_category()}; }

}  // namespace

os::MadeThread os::make_thread(void* argument, std::size_t stack_size) noexcept {
  if (stack_size > UINT_MAX) {  // the parameter has 32 bits; cut, it would be a small stack instead of none
    return {.error = std::make_error_code(std::errc::not_enough_memory)};
  }
  // Not CreateThread: the C runtime keeps data for each thread. Reserved, not committed, as elsewhere.
  unsigned id = 0;
  errno = 0;
  const std::uintptr_t handle = ::_beginthreadex(nullptr, static_cast<unsigned>(stack_size), new_thread,
                                                 argument, STACK_SIZE_PARAM_IS_A_RESERVATION, &id);
  if (handle == 0) return {.error = std::error_code(errno != 0 ? errno : EAGAIN, std::generic_category())};
  return {.handle = handle, .ident = id, .error = {}};
}

// The stack's bounds are asked of the system (stack_bounds_windows.cpp).
std::size_t os::default_stack_size() noexcept { return 0; }

void os::join_thread(std::uintptr_t handle) noexcept {
  ::WaitForSingleObject(to_handle(handle), INFINITE);
  ::CloseHandle(to_handle(handle));
}

void os::detach_thread(std::uintptr_t handle) noexcept { ::CloseHandle(to_handle(handle)); }

std::uint64_t os::process_id() noexcept { return ::GetCurrentProcessId(); }

std::size_t os::longest_name() noexcept { return 1024; }

void os::set_name(const char* name) noexcept {
  using SetThreadDescriptionFunction = HRESULT(WINAPI*)(HANDLE, PCWSTR);
  // Looked up: Windows has it since version 1607 of Windows 10.
  static const auto set_description = std::bit_cast<SetThreadDescriptionFunction>(
      ::GetProcAddress(::GetModuleHandleW(L"kernel32.dll"), "SetThreadDescription"));
  if (set_description == nullptr) return;
  wchar_t wide[1024 + 1];  // UTF-16 never takes more units than UTF-8 takes bytes
  if (::MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 1024 + 1) > 0)
    set_description(::GetCurrentThread(), wide);
}

std::error_code os::set_priority(Priority priority) noexcept {
  const int level = priority == Priority::low    ? THREAD_PRIORITY_BELOW_NORMAL
                    : priority == Priority::high ? THREAD_PRIORITY_ABOVE_NORMAL
                                                 : THREAD_PRIORITY_NORMAL;
  return ::SetThreadPriority(::GetCurrentThread(), level) != 0 ? std::error_code() : last_error();
}

// CPUs 0 to 63, of the processor group the thread is in.
os::Pinned os::set_affinity(const std::vector<int>& cpus) noexcept {
  DWORD_PTR mask = 0;
  for (const int cpu : cpus) {
    if (cpu >= static_cast<int>(CHAR_BIT * sizeof mask)) {
      return {std::error_code(ERROR_INVALID_PARAMETER, std::system_category()), cpu};
    }
    mask |= DWORD_PTR{1} << cpu;
  }
  // Refuses a set of which this process can't have every CPU.
  if (::SetThreadAffinityMask(::GetCurrentThread(), mask) == 0) {
    return {last_error(), cpus.size() == 1 ? cpus.front() : -1};
  }
  return {};
}

std::uintptr_t current_ident() noexcept { return ::GetCurrentThreadId(); }

std::uint64_t current_native_id() noexcept { return ::GetCurrentThreadId(); }

}  // namespace osthread
