// The floor: the least that a thread with its own lua_State costs, in plain calls of pthread and Lua. It is
// what the benchmarks measure OSThread against, in C++ and, through ctypes, in Python.
#pragma once

#define FLOOR_EXPORT extern "C" __attribute__((visibility("default")))

// Microseconds to start a thread and to join it. It does what the blog's RunLuaThread does: makes a state,
// opens the libraries with the collector stopped, runs the chunk (a zero-terminated string), closes the
// state.
FLOOR_EXPORT double floor_start(const char* code);

// Microseconds to start `count` of them, then to join all.
FLOOR_EXPORT double floor_burst(int count, const char* code);

// Microseconds from a signal to a thread that spins until one comes, to when it has been joined.
FLOOR_EXPORT double floor_interrupt(void);

// Starts `count` threads, each asleep for ever in a function that its chunk called. Returns when all sleep.
FLOOR_EXPORT void floor_sleepers(int count);

// y = a*x + y over `count` doubles, in `threads` threads that are made and joined: seconds.
FLOOR_EXPORT double floor_axpy(double a, const double* x, double* y, long count, int threads);
// The same `rounds` times, the threads made once, each with its own part: seconds for one.
FLOOR_EXPORT double floor_axpy_rounds(double a, const double* x, double* y, long count, int threads,
                                      int rounds);
