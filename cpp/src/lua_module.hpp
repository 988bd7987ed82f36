// The module `osthread` as Lua code requires it. It is Lua over FFI (cpp/lua/osthread.lua) on a few functions
// from here.
#pragma once

#include "lua_headers.hpp"
#include "osthread/value.hpp"

namespace osthread {

// Setup step of a Vm: makes `require "osthread"` work. Nothing of the module is loaded before somebody does.
int install_module(lua_State* L);

}  // namespace osthread
