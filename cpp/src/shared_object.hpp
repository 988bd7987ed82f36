// The shared object that this library, and LuaJIT with it, lives in.
#pragma once

#include <string>

namespace osthread {

// Its path, as ffi.load takes it; empty where it can't be told.
std::string shared_object_path();

// Makes its lua_* functions visible to C modules that are loaded from now on. Returns the system's reason if
// it can't. From then on another LuaJIT (lupa's) that is loaded would bind to ours: so it happens only when a
// C module is required.
std::string promote_symbols();
bool symbols_promoted() noexcept;  // whether that has been done

}  // namespace osthread
