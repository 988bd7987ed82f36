#include "lua_shared_table.hpp"

#include "lua_call.hpp"
#include "lua_message.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "shared_table_core.hpp"

namespace osthread {
namespace {

// --- What compiled code calls. Whatever is not plain and quick is left to the C functions below. ---

SharedTableCore* core_in(const Box& box) noexcept {
  auto* core = static_cast<SharedTableCore*>(object_in(box));
  return core && core->is_of_this_process() ? core : nullptr;
}

int get_quickly(const SharedTableCore* core, const KeyView& key, Message* message) noexcept {
  if (!core) return kOther;
  const std::optional<Value> value = core->get(key);
  return value ? hand_over(*value, *message) : kNothing;
}

int get_by_name(const Box* box, const char* name, std::size_t size, Message* message) noexcept {
  return get_quickly(core_in(*box), KeyView(std::string_view(name, size)), message);
}

int get_by_number(const Box* box, double number, Message* message) noexcept {
  return get_quickly(core_in(*box), KeyView(Value(number)), message);
}

bool replace_by_name(const Box* box, const char* name, std::size_t size, double number) noexcept {
  SharedTableCore* core = core_in(*box);
  return core && core->replace_number(KeyView(std::string_view(name, size)), number);
}

bool replace_by_number(const Box* box, double key, double number) noexcept {
  SharedTableCore* core = core_in(*box);
  return core && core->replace_number(KeyView(Value(key)), number);
}

std::uint32_t size(const Box* box) noexcept {
  const SharedTableCore* core = core_in(*box);
  return core ? static_cast<std::uint32_t>(core->size()) : 0;
}

bool is_same(const Box* one, const Box* other) noexcept { return object_in(*one) == object_in(*other); }
void drop(Vm* vm, Box* box) noexcept { empty_box(*vm, *box); }

// --- C functions ---

// Whatever the arguments are, an error names the method.
SharedTableCore& self(lua_State* L) {
  auto* core = dynamic_cast<SharedTableCore*>(object_at(L, 1));
  if (!core)
    throw ConversionError("self", std::string("a SharedTable was wanted, not a ") + luaL_typename(L, 1) +
                                      "; methods are called with a colon: s:method()");
  core->require_own_process();
  return *core;
}

Value value_at(lua_State* L, int index, const char* name) {
  if (lua_gettop(L) < index) return {};
  return std::move(read_values(L, index, 1, {name, false, true}).front());
}

SharedTableCore::Payer payer(lua_State* L) { return &Vm::of(L).quota(); }

Value key_at(lua_State* L) {
  Value key = value_at(L, 2, "key");
  SharedTableCore::require_key(key);
  return key;
}

Values get(lua_State* L) {
  const SharedTableCore& core = self(L);
  std::optional<Value> value = core.get(KeyView(key_at(L)));
  if (!value) return {};
  return {std::move(*value), true};  // a nil is told from no entry by the second
}

Values set(lua_State* L) {
  SharedTableCore& core = self(L);
  const Value key = key_at(L);
  if (lua_isnoneornil(L, 3))
    (void)core.take(KeyView(key));
  else
    (void)core.set(key, SharedTableCore::shared(value_at(L, 3, "value"), payer(L)), payer(L));
  return {};
}

Values add(lua_State* L) {
  SharedTableCore& core = self(L);
  const Value key = key_at(L);
  const Value by = value_at(L, 3, "by");
  if (by.type() != Value::Type::number)
    throw ConversionError("by", std::string("add: a number was wanted, not ") + by.type_name());
  return {core.add(key, by.number(), payer(L))};
}

Values compare_and_set(lua_State* L) {
  SharedTableCore& core = self(L);
  const Value key = key_at(L);
  return {core.compare_and_set(key, value_at(L, 3, "old"), value_at(L, 4, "value"), payer(L))};
}

Values update(lua_State* L) {
  SharedTableCore& core = self(L);
  core.update(SharedTableCore::items_of(value_at(L, 2, "table"), payer(L)), payer(L));
  return {};
}

Values snapshot(lua_State* L) { return {self(L).snapshot()}; }

// Keys and values by turns, in one table.
Values items(lua_State* L) {
  Values flat;
  for (auto& [key, value] : self(L).items()) {
    flat.push_back(std::move(key));
    flat.push_back(std::move(value));
  }
  return {Value::array(flat)};
}

Values make(lua_State* L) {
  if (lua_isnoneornil(L, 1)) return {SharedTable().to_value()};
  return {SharedTable(value_at(L, 1, "table")).to_value()};
}

Values describe(lua_State* L) {
  const Object* object = object_at(L, 1);
  return {object ? object->describe() : std::string("a table that has been finalized")};
}

template <Values (*body)(lua_State*)>
int function(lua_State* L) {
  return guarded(L, body);
}

}  // namespace

void push_shared_table_core(lua_State* L) {
  const std::pair<const char*, const void*> quick[] = {
      {"get_by_name", reinterpret_cast<const void*>(get_by_name)},
      {"get_by_number", reinterpret_cast<const void*>(get_by_number)},
      {"replace_by_name", reinterpret_cast<const void*>(replace_by_name)},
      {"replace_by_number", reinterpret_cast<const void*>(replace_by_number)},
      {"size", reinterpret_cast<const void*>(size)},
      {"is_same", reinterpret_cast<const void*>(is_same)},
      {"drop", reinterpret_cast<const void*>(drop)}};
  for (const auto& [name, pointer] : quick) {
    lua_pushlightuserdata(L, const_cast<void*>(pointer));
    lua_setfield(L, -2, name);
  }
  const std::pair<const char*, lua_CFunction> slow[] = {
      {"get", function<get>},          {"set", function<set>},
      {"add", function<add>},          {"compare_and_set", function<compare_and_set>},
      {"update", function<update>},    {"snapshot", function<snapshot>},
      {"items", function<items>},      {"make", function<make>},
      {"describe", function<describe>}};
  for (const auto& [name, c_function] : slow) {
    lua_pushcfunction(L, c_function);
    lua_setfield(L, -2, name);
  }
  lua_pushlightuserdata(L, &Vm::of(L));
  lua_setfield(L, -2, "vm");
  push_inbox(L);
}

}  // namespace osthread
