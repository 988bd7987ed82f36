// Handles to objects of the host, as Lua sees them: a function for a HostFunction, a userdata for any other.
#pragma once

#include "lua_headers.hpp"
#include "osthread/value.hpp"
#include "vm.hpp"

namespace osthread {

// Setup step: the metatable of handles.
int install_objects(lua_State* L);

// Pushes a handle, which takes a count of its own. May raise.
void push_object(lua_State* L, Object* object);

// The object behind the value at `index`, or null; the count stays with the handle.
Object* object_at(lua_State* L, int index) noexcept;

// The objects behind all handles that the state holds, one for each handle. The state must be at rest.
std::vector<Object*> boxed_objects(const Vm& vm);

}  // namespace osthread
