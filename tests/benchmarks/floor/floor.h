/* The floor: the least that a thread with its own lua_State costs, in plain calls of pthread and Lua. It is
   what the benchmarks measure OSThread against, in C++ and, through ctypes, in Python. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* The blog's RunLuaThread as a pthread routine: make a state, open the libraries with the collector stopped,
   run the chunk (a zero-terminated string), close the state. */
__attribute__((visibility("default"))) void *floor_routine(void *code);

/* Microseconds to start one such thread and to join it. */
__attribute__((visibility("default"))) double floor_start(const char *code);

/* Microseconds to start `count` of them, then to join all. */
__attribute__((visibility("default"))) double floor_burst(int count, const char *code);

/* Starts `count` threads, each asleep in a function that its chunk called, for the length of the process.
   Returns when all sleep. */
__attribute__((visibility("default"))) void floor_sleepers(int count);

#ifdef __cplusplus
}
#endif
