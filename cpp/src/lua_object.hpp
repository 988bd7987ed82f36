// Handles to objects of the host, as Lua sees them: a function for a HostFunction; for an object whose class
// is Lua over FFI (Object::lua_class) a box, a cdata of that class, the same for the same object as long as
// it lives; a userdata for any other.
#pragma once

#include <span>
#include <vector>

#include "lua_headers.hpp"
#include "osthread/value.hpp"
#include "vm.hpp"

namespace osthread {

// Setup step: the metatable of handles.
int install_objects(lua_State* L);

// Whether the state has a box of it.
bool is_boxed(lua_State* L, const Object* object) noexcept;

// Pushes a handle, which takes a count of its own. May raise.
void push_object(lua_State* L, Object* object);

// The object behind the value at `index`, or null; the count stays with the handle.
Object* object_at(lua_State* L, int index) noexcept;

// What a box holds, and FFI functions get a pointer to; `handle` is null once it has been finalized.
struct Handle;
struct Box {
  Handle* handle;
};
Object* object_in(const Box& box) noexcept;
// Gives the handle back, as a finalizer does.
void empty_box(Vm& vm, Box& box) noexcept;
// The same, but the object stays until drop_lingering() finds it not needed: for one whose memory more than
// its box leads to. Whether it does.
bool let_linger(Vm& vm, Box& box) noexcept;
// Whether any are left.
bool drop_lingering(Vm& vm,
                    std::vector<bool> (*are_needed)(const Vm& vm, std::span<Object* const> objects)) noexcept;
// Takes over one count of `object` (null: there was no memory for it), which the state keeps as long as it
// lives. May raise.
void adopt_object(lua_State* L, Object* object);

// The objects behind all handles that the state holds, one for each handle. The state must be at rest.
std::vector<Object*> boxed_objects(const Vm& vm);

}  // namespace osthread
