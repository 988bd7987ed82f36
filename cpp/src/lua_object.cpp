#include "lua_object.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "lua_call.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"

namespace osthread {

// What a userdata or a box stands for. Linked to the others of its state, so that all are given back when the
// state goes without running its finalizers. Not in the userdata itself, whose memory a script can have
// collected without its __gc (debug.setmetatable).
struct Handle {
  Object* object;
  void** list;  // Vm::handles or Vm::lingering
  Handle* previous;
  Handle* next;
};

namespace {

void link(void*& list, Handle* handle) noexcept {
  auto* first = static_cast<Handle*>(list);
  handle->list = &list;
  handle->previous = nullptr;
  handle->next = first;
  if (first) first->previous = handle;
  list = handle;
}

void unlink(Handle* handle) noexcept {
  if (handle->previous)
    handle->previous->next = handle->next;
  else
    *handle->list = handle->next;
  if (handle->next) handle->next->previous = handle->previous;
}

void drop(Handle* handle) noexcept {
  unlink(handle);
  Object* object = handle->object;
  delete handle;
  object->release();  // last: it may run anything
}

void drop_all(Vm& vm) noexcept {
  while (vm.handles) drop(static_cast<Handle*>(vm.handles));
  while (vm.lingering) drop(static_cast<Handle*>(vm.lingering));
}

std::vector<Object*> objects_of(const void* list) {
  std::vector<Object*> objects;
  for (const auto* handle = static_cast<const Handle*>(list); handle; handle = handle->next)
    objects.push_back(handle->object);
  return objects;
}

Object* boxed(lua_State* L, int index) noexcept {
  const Handle* handle = *static_cast<Handle**>(lua_touserdata(L, index));
  return handle ? handle->object : nullptr;
}

int release_object(lua_State* L) {
  auto** box = static_cast<Handle**>(lua_touserdata(L, 1));
  if (Handle* handle = *box) {
    *box = nullptr;
    drop(handle);
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

// How much may have come before it is looked whether a collection is worth it: one of a small state takes a
// fraction of what filling so much does.
constexpr std::size_t kMuch = std::size_t{16} << 20;

// What a collection may give back: nobody has it but this state.
std::size_t kept_alone(const Vm& vm) noexcept {
  std::size_t bytes = 0;
  for (const auto* handle = static_cast<const Handle*>(vm.handles); handle; handle = handle->next)
    if (handle->object->count() == 1) bytes += handle->object->keeps();
  return bytes;
}

// The collector knows a handle, not what it keeps: a few of those may hold more than the machine has. As it
// does, this waits until there may be as much garbage as was kept by what survived the last time.
void note_kept(Vm& vm, const Object& object) noexcept {
  Vm::Kept& kept = vm.kept;
  kept.anything_new = true;
  kept.since += object.keeps();
  if (kept.since < std::max(kMuch, 2 * vm.quota().used())) return;
  const std::size_t now = kept_alone(vm);
  const std::size_t since = std::exchange(kept.since, 0);
  if (std::exchange(kept.collected, false)) kept.survived = now - std::min(now, since);
  kept.survived = std::min(kept.survived, now);  // or it would be told of what has gone since
  if (now < std::max(kMuch / 2, 2 * kept.survived)) return;
  kept.collected = true;
  vm.quota().collect_garbage_soon();
}

// Takes a count of its own. May raise.
Handle* make_handle(lua_State* L, Object* object) {
  auto* handle = new (std::nothrow) Handle{object, nullptr, nullptr, nullptr};
  if (!handle) luaL_error(L, "not enough memory");
  object->retain();
  link(Vm::of(L).handles, handle);
  note_kept(Vm::of(L), *object);
  return handle;
}

void push_userdata(lua_State* L, Object* object) {
  auto** box = static_cast<Handle**>(lua_newuserdata(L, sizeof(Handle*)));
  *box = nullptr;  // no count yet: if setting the metatable raised, nothing would give it back
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  lua_setmetatable(L, -2);
  *box = make_handle(L, object);
}

void push_boxes(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBoxes);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "kv");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kBoxes);
}

// The class's constructor of boxes. The classes come with the module's Lua half.
void push_class(lua_State* L, const char* name) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kClasses);
  if (!lua_istable(L, -1)) {
    lua_call(L, 0, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kClasses);
  }
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

// A finalized one may still be found when the state ends: its handle is null.
const Box* box_at(lua_State* L, int index) noexcept {
  return static_cast<const Box*>(lua_topointer(L, index));
}

void push_boxed(lua_State* L, Object* object, const char* name) {
  push_boxes(L);
  lua_pushlightuserdata(L, object);
  lua_rawget(L, -2);
  if (!lua_isnil(L, -1) && box_at(L, -1)->handle) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  push_class(L, name);
  // From here on, if anything raises, the state's end gives the handle back.
  Handle* const handle = make_handle(L, object);
  lua_pushlightuserdata(L, handle);
  lua_call(L, 1, 1);
  lua_pushlightuserdata(L, object);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, -4);
  lua_remove(L, -2);
}

Object* object_of_cdata(lua_State* L, int index) noexcept {
  if (index < 0) index += lua_gettop(L) + 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBoxes);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return nullptr;
  }
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  const bool ours = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return ours ? object_in(*box_at(L, index)) : nullptr;
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

bool is_boxed(lua_State* L, const Object* object) noexcept {
  bool found = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBoxes);
  if (lua_istable(L, -1)) {
    lua_pushlightuserdata(L, const_cast<Object*>(object));
    lua_rawget(L, -2);
    found = !lua_isnil(L, -1) && box_at(L, -1)->handle;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

void push_object(lua_State* L, Object* object) {
  if (const char* name = object->lua_class()) {
    push_boxed(L, object, name);
    return;
  }
  push_userdata(L, object);
  if (dynamic_cast<HostFunction*>(object)) lua_pushcclosure(L, call_object, 1);
}

void adopt_object(lua_State* L, Object* object) {
  auto* handle = object ? new (std::nothrow) Handle{object, nullptr, nullptr, nullptr} : nullptr;
  if (handle) {
    link(Vm::of(L).handles, handle);
    return;
  }
  if (object) object->release();
  luaL_error(L, "not enough memory");
}

Object* object_in(const Box& box) noexcept { return box.handle ? box.handle->object : nullptr; }

void empty_box(Vm& vm, Box& box) noexcept {
  if (vm.ending()) return;  // finalizers that run after this one's may use it; the state gives all back
  if (Handle* const handle = std::exchange(box.handle, nullptr)) drop(handle);
}

bool let_linger(Vm& vm, Box& box) noexcept {
  if (vm.ending() || !box.handle) return false;
  Handle* const handle = std::exchange(box.handle, nullptr);
  unlink(handle);
  link(vm.lingering, handle);
  return true;
}

bool drop_lingering(Vm& vm, std::vector<bool> (*are_needed)(const Vm& vm,
                                                            std::span<Object* const> objects)) noexcept {
  if (!vm.lingering) return false;
  std::vector<bool> needed;
  try {
    needed = are_needed(vm, objects_of(vm.lingering));
  } catch (const std::bad_alloc&) {
    return true;
  }
  Handle* unneeded = nullptr;  // dropped after the loop, as that may run anything
  auto* handle = static_cast<Handle*>(vm.lingering);
  for (const bool keep : needed) {
    Handle* const next = handle->next;
    if (!keep) {
      unlink(handle);
      handle->next = std::exchange(unneeded, handle);
    }
    handle = next;
  }
  while (unneeded) {
    Handle* const each = std::exchange(unneeded, unneeded->next);
    void* list = nullptr;
    link(list, each);
    drop(each);
  }
  return vm.lingering != nullptr;
}

Object* object_at(lua_State* L, int index) noexcept {
  if (lua_tocfunction(L, index) == call_object) {
    lua_getupvalue(L, index, 1);
    Object* object = boxed(L, -1);
    lua_pop(L, 1);
    return object;
  }
  if (lua_type(L, index) == kCdataType) return object_of_cdata(L, index);
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return nullptr;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kObject);
  const bool ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return ours ? boxed(L, index) : nullptr;
}

std::vector<Object*> boxed_objects(const Vm& vm) {
  std::vector<Object*> objects = objects_of(vm.handles);
  const std::vector<Object*> lingering = objects_of(vm.lingering);
  objects.insert(objects.end(), lingering.begin(), lingering.end());
  return objects;
}

}  // namespace osthread
