#include "lua_shared_buffer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "half_float.hpp"
#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "lua_wait.hpp"
#include "references.h"
#include "shared_buffer_core.hpp"

namespace osthread {
namespace {

// A box with what compiled code needs to reach the elements. Lua can't change it: its fields are const there.
struct BufferBox : Box {
  std::intptr_t address;
  std::int32_t near;  // elements that an index of 32 bits reaches
  double size;        // all of them
};

SharedBufferCore* core_in(const BufferBox& box) noexcept {
  return static_cast<SharedBufferCore*>(object_in(box));
}

// --- What compiled code calls ---

void fill(BufferBox* box) noexcept {
  const SharedBufferCore* core = core_in(*box);
  box->address = reinterpret_cast<std::intptr_t>(core->data());
  box->near = static_cast<std::int32_t>(std::min<std::size_t>(core->size(), INT32_MAX));
  box->size = static_cast<double>(core->size());
}

// Whether it was done; else the C function says what is wrong, or finds a way.
bool add_quickly(const BufferBox* box, double index, double number, double* sum) noexcept {
  SharedBufferCore* core = core_in(*box);
  if (!core || !(index >= 0 && index < box->size) || std::trunc(index) != index) return false;
  const std::optional<double> then = core->add_number(static_cast<std::size_t>(index), number);
  if (then) *sum = *then;
  return then.has_value();
}

bool is_same(const Box* one, const Box* other) noexcept { return object_in(*one) == object_in(*other); }

void reach_nothing(BufferBox& box) noexcept {
  box.address = 0;
  box.near = 0;
  box.size = 0;
}

// As its finalizer: those of others that run after it may use it, which is an error then. At the state's end
// it keeps what it has.
void drop(Vm* vm, BufferBox* box) noexcept {
  if (vm->ending()) return;
  reach_nothing(*box);
  empty_box(*vm, *box);
}

// The same for structures: their elements, and what is in these, are references into the memory, of which
// only the state's other objects tell. Whether any lingers.
bool drop_structures(Vm* vm, BufferBox* box) noexcept {
  if (let_linger(*vm, *box)) reach_nothing(*box);
  return vm->lingering != nullptr;
}

// Whether any lingers: this one, if it interrupts what may be an access.
bool release(Vm* vm, BufferBox* box) noexcept {
  reach_nothing(*box);
  if (osthread_interrupts(vm->state()))
    let_linger(*vm, *box);
  else
    empty_box(*vm, *box);
  return vm->lingering != nullptr;
}

// Of each whether anything in the state refers into its memory, or into what overlaps that.
std::vector<bool> are_referred_to(const Vm& vm, std::span<Object* const> objects) {
  const auto core = [&](std::size_t i) -> const SharedBufferCore& {
    return static_cast<const SharedBufferCore&>(*objects[i]);
  };
  const auto begin = [&](std::size_t i) { return reinterpret_cast<std::uintptr_t>(core(i).data()); };
  std::vector<std::size_t> order(objects.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return begin(a) < begin(b); });
  std::vector<osthread_Memory> memory;
  std::vector<std::size_t> part_of(objects.size());
  for (const std::size_t i : order) {
    const std::size_t size = core(i).keeps();
    const std::size_t after =
        memory.empty() ? 0 : begin(i) - reinterpret_cast<std::uintptr_t>(memory.back().data);
    if (memory.empty() || after > memory.back().size)
      memory.push_back({core(i).data(), size, 0});
    else
      memory.back().size = std::max(memory.back().size, after + size);
    part_of[i] = memory.size() - 1;
  }
  osthread_note_references(vm.state(), memory.data(), memory.size());
  std::vector<bool> referred(objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) referred[i] = memory[part_of[i]].referred != 0;
  return referred;
}

// Whether it has to be looked again, when something has been collected.
int look_for_references(lua_State* L) {
  lua_pushboolean(L, drop_lingering(Vm::of(L), are_referred_to));
  return 1;
}

// A C function, since the FFI's are called by compiled code, too, which may hold a reference in a register.
int release_structures(lua_State* L) {
  auto& box = *static_cast<BufferBox*>(const_cast<void*>(lua_topointer(L, 1)));
  reach_nothing(box);
  let_linger(Vm::of(L), box);
  return look_for_references(L);
}

// --- C functions ---

SharedBufferCore& self(lua_State* L, const char* method) {
  auto* core = dynamic_cast<SharedBufferCore*>(object_at(L, 1));
  if (!core)
    throw ConversionError("self",
                          std::string(method) + ": a SharedBuffer that is not released was wanted, not a " +
                              luaL_typename(L, 1) + "; methods are called with a colon: b:" + method + "()");
  return *core;
}

std::size_t index_at(lua_State* L, const SharedBufferCore& core, const char* method) {
  const double index = lua_type(L, 2) == LUA_TNUMBER ? lua_tonumber(L, 2) : -1;
  if (!(index >= 0 && index <= 0x1p53) || std::trunc(index) != index)
    throw std::out_of_range(std::string(method) + ": an index is a whole number, counted from 0");
  core.require_index(static_cast<std::size_t>(index));
  return static_cast<std::size_t>(index);
}

Value number_at(lua_State* L, int index, const char* name) {
  if (lua_gettop(L) < index) throw ConversionError(name, "nothing is not a number");
  return std::move(read_values(L, index, 1, {name, false}).front());
}

Values add(lua_State* L) {
  SharedBufferCore& core = self(L, "add");
  return {core.add(index_at(L, core, "add"), number_at(L, 3, "x"))};
}

Values compare_and_set(lua_State* L) {
  SharedBufferCore& core = self(L, "compare_and_set");
  const std::size_t index = index_at(L, core, "compare_and_set");
  return {core.compare_and_set(index, number_at(L, 3, "old"), number_at(L, 4, "new"))};
}

Values notify(lua_State* L) {
  SharedBufferCore& core = self(L, "notify");
  core.notify(index_at(L, core, "notify"));
  return {};
}

struct ElementWait {
  std::optional<Clock::time_point> deadline;
  Wait wait;
};

Values wait_body(lua_State* L) {
  auto& state = *static_cast<ElementWait*>(lua_touserdata(L, -1));
  SharedBufferCore& core = self(L, "wait");
  state.wait =
      core.wait(index_at(L, core, "wait"), number_at(L, 3, "old"), Blocking::Caller::lua, state.deadline);
  return {};
}

// Arguments: the buffer, the index, the old number, the timeout.
int wait(lua_State* L) {
  lua_settop(L, 4);
  ElementWait state{deadline_at(L, 4, "wait"), Wait::over};
  Run& run = own_run(L);
  for (;;) {
    lua_settop(L, 4);
    lua_pushlightuserdata(L, &state);
    guarded(L, wait_body);
    if (state.wait == Wait::over || state.wait == Wait::timed_out || must_give_up(L, run)) break;
  }
  if (state.wait == Wait::over) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, state.wait == Wait::timed_out ? "timeout" : "stopped");
  return 2;
}

// What a class is made for: the dtype's name, the C declaration of a structure, whether it is read-only, the
// bytes of an element. Of the object that a handle not boxed yet is for.
int describe_handle(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    const Box box{static_cast<Handle*>(lua_touserdata(state, 1))};
    const auto& core = static_cast<const SharedBufferCore&>(*object_in(box));
    return {name_of(core.layout().dtype), core.layout().structure.declaration, core.readonly(),
            core.layout().itemsize()};
  });
}

Values shape(lua_State* L) {
  Values lengths;
  for (const std::size_t length : self(L, "shape").layout().shape) lengths.emplace_back(length);
  return {Value::array(lengths)};
}

Values describe(lua_State* L) {
  const Object* object = object_at(L, 1);
  return {object ? object->describe() : std::string("SharedBuffer: released")};
}

std::size_t length_of(const Value& value) {
  const double length = value.type() == Value::Type::number ? value.number() : -1;
  if (!(length >= 0 && length <= 0x1p53) || std::trunc(length) != length)
    throw std::invalid_argument("SharedBuffer: a shape is a whole number, or a list of them: {1000, 3}");
  return static_cast<std::size_t>(length);
}

// Arguments: the dtype's name, the shape.
Values make(lua_State* L) {
  if (lua_gettop(L) < 2)
    throw std::invalid_argument(
        "SharedBuffer: a dtype and a shape were wanted: SharedBuffer(\"float64\", 1000)");
  const Values given = read_values(L, 1, 2, {"args"});
  if (given[0].type() != Value::Type::string)
    throw std::invalid_argument(std::string("SharedBuffer: a dtype is a string, as \"float64\", not ") +
                                given[0].type_name());
  std::vector<std::size_t> shape;
  if (given[1].type() == Value::Type::table)
    for (const Value& length : given[1].elements()) shape.push_back(length_of(length));
  else
    shape.push_back(length_of(given[1]));
  return {SharedBuffer(dtype_named(given[0].bytes()), shape).to_value()};
}

template <Values (*body)(lua_State*)>
int function(lua_State* L) {
  return guarded(L, body);
}

// Code of the Lua half as a function: not by `loadstring`, which scripts may have replaced.
int compile(lua_State* L) {
  std::size_t size = 0;
  const char* code = luaL_checklstring(L, 1, &size);
  if (luaL_loadbuffer(L, code, size, "=osthread") != 0) return lua_error(L);
  return 1;
}

}  // namespace

void push_shared_buffer_core(lua_State* L) {
  const std::pair<const char*, const void*> quick[] = {
      {"fill", reinterpret_cast<const void*>(fill)},
      {"add_quickly", reinterpret_cast<const void*>(add_quickly)},
      {"half_to_double", reinterpret_cast<const void*>(half_to_double)},
      {"double_to_half", reinterpret_cast<const void*>(double_to_half)},
      {"is_same", reinterpret_cast<const void*>(is_same)},
      {"release", reinterpret_cast<const void*>(release)},
      {"drop", reinterpret_cast<const void*>(drop)},
      {"drop_structures", reinterpret_cast<const void*>(drop_structures)}};
  for (const auto& [name, pointer] : quick) {
    lua_pushlightuserdata(L, const_cast<void*>(pointer));
    lua_setfield(L, -2, name);
  }
  const std::pair<const char*, lua_CFunction> slow[] = {{"add", function<add>},
                                                        {"compare_and_set", function<compare_and_set>},
                                                        {"notify", function<notify>},
                                                        {"wait", wait},
                                                        {"shape", function<shape>},
                                                        {"describe", function<describe>},
                                                        {"make", function<make>},
                                                        {"describe_handle", describe_handle},
                                                        {"compile", compile},
                                                        {"release_structures", release_structures},
                                                        {"look_for_references", look_for_references}};
  for (const auto& [name, c_function] : slow) {
    lua_pushcfunction(L, c_function);
    lua_setfield(L, -2, name);
  }
  lua_pushlightuserdata(L, &Vm::of(L));
  lua_setfield(L, -2, "vm");
}

}  // namespace osthread
