#pragma once

// What NativeThread asks of the operating system. native_thread.cpp is written on it and is the same
// everywhere; the build chooses who answers it:
//   native_thread_posix.cpp, with native_thread_linux.cpp or native_thread_macos.cpp
//   native_thread_windows.cpp
// All but make_thread, join_thread and detach_thread speak of the calling thread. Thread safety: any thread,
// at once.

#include <cstddef>
#include <cstdint>
#include <system_error>
#include <vector>

#include "osthread/native_thread.hpp"

namespace osthread::os {

struct MadeThread {
  std::uintptr_t handle = 0;  // pthread_t or HANDLE
  std::uintptr_t ident = 0;   // what current_ident() says in it
  std::error_code error;      // set: no thread was made
};

// Makes a thread that calls run_new_thread(argument), with the signal mask that native_thread.hpp promises.
MadeThread make_thread(void* argument, std::size_t stack_size) noexcept;

// Implemented by native_thread.cpp, called on the new thread. Not noexcept: pthread_exit() unwinds it.
void run_new_thread(void* argument);

// What a thread gets that asks for no stack size.
std::size_t default_stack_size() noexcept;

// What handlers run on lies at the far end of the stack of a thread that make_thread() has made, if anywhere.
inline constexpr std::size_t kAlternateStack = 32 * 1024;

// Of a thread that make_thread() has made: about where its stack ends, or a little below (the system keeps
// some of it for itself). 0 in any other.
std::uintptr_t own_stack_low() noexcept;

void join_thread(std::uintptr_t handle) noexcept;  // returns when the thread is gone
void detach_thread(std::uintptr_t handle) noexcept;

// Which process this is, so that a fork()ed child knows that it is not the one that made a thread.
std::uint64_t process_id() noexcept;

std::size_t longest_name() noexcept;       // in bytes
void set_name(const char* name) noexcept;  // at most that long, UTF-8; a failure is not worth an error
std::error_code set_priority(Priority priority) noexcept;

struct Pinned {
  std::error_code error;
  int cpu = -1;  // the one that can't be had; -1: the whole set was refused
};
// All of the CPUs or an error: systems quietly leave out those they don't have.
Pinned set_affinity(const std::vector<int>& cpus) noexcept;

}  // namespace osthread::os
