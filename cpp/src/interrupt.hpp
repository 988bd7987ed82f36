// How one thread makes another look up from the Lua code it runs: never by touching its lua_State from
// outside (LuaJIT's lua_sethook is not safe there), but by having Run::attend() called on the target itself.
// POSIX: a directed signal, which also makes blocking system calls return; Windows: the target is suspended
// meanwhile. A target that is to leave Lua does so from there, if it may.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstdint>

namespace osthread {
struct RunSlot;
}

namespace osthread::interrupt {

// What it takes to reach a thread. Good while that thread lives.
struct Target {
  std::uintptr_t thread = 0;      // pthread_t; HANDLE on Windows
  const RunSlot* slot = nullptr;  // what the thread runs, for where it is looked at from outside
};

// The calling thread, made reachable (its signal mask lets the signal through).
Target this_thread();

// Has Run::attend_at() called for the target, soon. It may come to nothing (the target is in the middle of
// what attend() must not see): ask again until it is answered.
void poke(Target target) noexcept;

// The same for the calling thread, in a signal handler.
void poke_this_thread() noexcept;

// The signal's number, 0 where there is none.
int signal_number() noexcept;

// Chooses another, or none (0), before the first thread is made reachable. std::logic_error if it is too
// late, std::invalid_argument if it is none that can be had.
void set_signal(int number);

// std::invalid_argument if the environment's OSTHREAD_SIGNAL makes no sense and set_signal() has not made up
// for it.
void require_choice();

// Whether poke() reaches code that neither allocates nor waits.
bool reaches_running_code() noexcept;

// In a thread that has left a signal handler by another way than its end.
void let_signals_through() noexcept;

}  // namespace osthread::interrupt
