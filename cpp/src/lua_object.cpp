#include "lua_object.hpp"

#include <memory>
#include <new>
#include <stdexcept>

#include "lua_value.hpp"
#include "registry_slots.hpp"

namespace osthread {
namespace {

// What a userdata stands for. Linked to the others of its state, so that all are given back when the state
// goes without running its finalizers. Not in the userdata itself, whose memory a script can have collected
// without its __gc (debug.setmetatable).
struct Handle {
  Object* object;
  Handle* previous;
  Handle* next;
};

void link(Vm& vm, Handle* handle) noexcept {
  auto* first = static_cast<Handle*>(vm.handles);
  handle->next = first;
  if (first) first->previous = handle;
  vm.handles = handle;
}

void drop(Vm& vm, Handle* handle) noexcept {
  if (handle->previous)
    handle->previous->next = handle->next;
  else
    vm.handles = handle->next;
  if (handle->next) handle->next->previous = handle->previous;
  Object* object = handle->object;
  delete handle;
  object->release();  // last: it may run anything
}

void drop_all(Vm& vm) noexcept {
  while (vm.handles) drop(vm, static_cast<Handle*>(vm.handles));
}

Object* boxed(lua_State* L, int index) noexcept {
  const Handle* handle = *static_cast<Handle**>(lua_touserdata(L, index));
  return handle ? handle->object : nullptr;
}

int release_object(lua_State* L) {
  auto** box = static_cast<Handle**>(lua_touserdata(L, 1));
  if (Handle* handle = *box) {
    *box = nullptr;
    drop(Vm::of(L), handle);
  }
  return 0;
}

struct ReleaseObject {
  void operator()(Object* object) const noexcept { object->release(); }
};

Values call_body(lua_State* L) {
  auto* function = static_cast<HostFunction*>(boxed(L, lua_upvalueindex(1)));
  if (!function) throw std::logic_error("this function of the host has been finalized");
  function->retain();  // the call may drop the last handle of it
  const std::unique_ptr<Object, ReleaseObject> held(function);
  return function->call(read_values(L, 1, lua_gettop(L), {"args"}));
}

int call_object(lua_State* L) { return guarded(L, call_body); }

int describe_object(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    const Object* object = object_at(state, 1);
    return {object ? object->describe() : std::string("userdata")};
  });
}

int index_object(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    const Object* object = object_at(state, 1);
    std::size_t length = 0;
    if (!object || lua_type(state, 2) != LUA_TSTRING) return {Value()};
    const char* name = lua_tolstring(state, 2, &length);
    return {object->get({name, length})};
  });
}

int same_object(lua_State* L) {
  const Object* one = object_at(L, 1);
  const Object* other = object_at(L, 2);
  lua_pushboolean(L, one && other && one->same(*other));
  return 1;
}

void push_box(lua_State* L, Object* object) {
  auto** box = static_cast<Handle**>(lua_newuserdata(L, sizeof(Handle*)));
  *box = nullptr;  // no count yet: if setting the metatable raised, nothing would give it back
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  lua_setmetatable(L, -2);
  auto* handle = new (std::nothrow) Handle{object, nullptr, nullptr};
  if (!handle) luaL_error(L, "not enough memory");
  object->retain();
  link(Vm::of(L), handle);
  *box = handle;
}

}  // namespace

int install_objects(lua_State* L) {
  lua_createtable(L, 0, 6);
  lua_pushcfunction(L, release_object);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, describe_object);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, index_object);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, same_object);
  lua_setfield(L, -2, "__eq");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kObject);
  Vm::of(L).drop_handles = drop_all;
  return 0;
}

void push_object(lua_State* L, Object* object) {
  push_box(L, object);
  if (dynamic_cast<HostFunction*>(object)) lua_pushcclosure(L, call_object, 1);
}

Object* object_at(lua_State* L, int index) noexcept {
  if (lua_tocfunction(L, index) == call_object) {
    lua_getupvalue(L, index, 1);
    Object* object = boxed(L, -1);
    lua_pop(L, 1);
    return object;
  }
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return nullptr;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  const bool ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return ours ? boxed(L, index) : nullptr;
}

std::vector<Object*> boxed_objects(const Vm& vm) {
  std::vector<Object*> objects;
  for (const auto* handle = static_cast<const Handle*>(vm.handles); handle; handle = handle->next)
    objects.push_back(handle->object);
  return objects;
}

}  // namespace osthread
