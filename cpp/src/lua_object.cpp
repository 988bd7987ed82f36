#include "lua_object.hpp"

#include <memory>
#include <stdexcept>

#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "state_end.h"

namespace osthread {
namespace {

Object* boxed(lua_State* L, int index) noexcept { return *static_cast<Object**>(lua_touserdata(L, index)); }

int release_object(lua_State* L) {
  auto** box = static_cast<Object**>(lua_touserdata(L, 1));
  if (Object* object = *box) {
    *box = nullptr;
    object->release();
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
  auto** box = static_cast<Object**>(lua_newuserdata(L, sizeof(Object*)));
  *box = nullptr;  // no count yet: if setting the metatable raised, nothing would give it back
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  lua_setmetatable(L, -2);
  object->retain();
  *box = object;
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

std::vector<Object*> boxed_objects(lua_State* L) {
  struct Found {
    const void* metatable;
    std::vector<Object*> objects;
  } found;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  found.metatable = lua_topointer(L, -1);
  lua_pop(L, 1);
  osthread_each_userdata(
      L,
      [](void* userdata, const void* metatable, void* context) {
        auto& to = *static_cast<Found*>(context);
        if (metatable != to.metatable) return;
        if (Object* object = *static_cast<Object**>(userdata)) to.objects.push_back(object);
      },
      &found);
  return std::move(found.objects);
}

}  // namespace osthread
