/* Plain C and the system's own threads: RunLuaThread is a start routine, which makes a Lua state of its own,
 * runs the chunk it is given, and closes the state. */
#include <windows.h>

#include <stdio.h>

__declspec(dllimport) int RunLuaThread(void* code); /* osthread.hpp declares it, for C++ */

static char hello[] = "print('hello from a native thread')";
static char broken[] = "local t = nil\nreturn t.field";
static char unfinished[] = "for i = 1, 10 do";

/* The same in Lua: a chunk that starts a thread and waits for it. */
static char starter[] =
    "local ffi = require 'ffi'\n"
    "ffi.cdef [[\n"
    "  int RunLuaThread(void *code);\n"
    "  void *CreateThread(void *attributes, size_t stack, int (*start)(void *), void *parameter,\n"
    "                     unsigned flags, unsigned *id);\n"
    "  unsigned WaitForSingleObject(void *handle, unsigned milliseconds);\n"
    "  int GetExitCodeThread(void *handle, unsigned *code);\n"
    "  int CloseHandle(void *handle);\n"
    "]]\n"
    "local C, code = ffi.C, \"print('hello from a thread of a thread')\"\n"
    "local thread = C.CreateThread(nil, 0, C.RunLuaThread, ffi.cast('void *', code), 0, nil)\n"
    "assert(thread ~= nil and C.WaitForSingleObject(thread, 0xffffffff) == 0)\n"
    "local status = ffi.new 'unsigned[1]'\n"
    "assert(C.GetExitCodeThread(thread, status) ~= 0 and status[0] == 0)\n"
    "C.CloseHandle(thread)\n";

/* Starts the chunk and waits for its end: what RunLuaThread returned. */
static DWORD run_and_wait(char* code) {
  DWORD id = 0;
  DWORD status = (DWORD)-1;
  const HANDLE thread = CreateThread(NULL, 0, (LPTHREAD_START_ROUTINE)RunLuaThread, code, 0, &id);
  if (thread == NULL) return status;
  WaitForSingleObject(thread, INFINITE);
  GetExitCodeThread(thread, &status);
  CloseHandle(thread);
  printf("thread %lu: %lu\n", id, status);
  return status;
}

int main(void) {
  /* 2 and 3 are LUA_ERRRUN and LUA_ERRSYNTAX of lua.h. */
  const int right = run_and_wait(hello) == 0 && run_and_wait(broken) == 2 && run_and_wait(unfinished) == 3 &&
                    run_and_wait(starter) == 0;
  return right ? 0 : 1;
}
