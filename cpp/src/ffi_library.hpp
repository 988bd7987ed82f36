// ffi.load "osthread", and "lua51" as it is called on Windows: the library this state lives in, whatever its
// file is called and wherever it lies.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Setup step.
int install_ffi_library(lua_State* L);

// Pushes the path of the library this state lives in. May raise.
void push_library_path(lua_State* L);

}  // namespace osthread

// For ffi_bundled.c: the library `ffi`, just opened, is on top.
extern "C" void osthread_ffi_opened(lua_State* L);
