// The stock Lua functions that mean something else in a state of ours: print and io.write go where the
// state's output goes, os.exit ends the chunk, require of a C module makes our symbols visible first.
//
// Thread safety: on the state's thread.
#pragma once

#include <functional>
#include <string_view>

#include "lua_headers.hpp"

namespace osthread {

// Where print and io.write go; a whole call at a time. What it throws becomes a Lua error. Empty: the
// process's own stdout.
using Output = std::function<void(std::string_view)>;

// Setup step of a Vm.
int install_builtins(lua_State* L);

// Gives a state without `package` a require that knows only what add_module added, and `osthread`. May raise.
void install_limited_require(lua_State* L);

// Registers the loader (a function on top of the stack, popped) of module `name`. May raise.
void add_module(lua_State* L, const char* name);

}  // namespace osthread
