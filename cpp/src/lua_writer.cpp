#include <array>

#include "library_names.hpp"
#include "lua_cdata.hpp"
#include "lua_object.hpp"
#include "lua_reader.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "table_numbers.h"

namespace osthread {
namespace {

// Writes the graphs of some values into a state: each node is made when it is first met, put into the Lua
// table `made` under its number, and filled when its turn comes, so that depth costs no stack. It owns
// nothing, so Lua errors may pass.
class Writer {
 public:
  Writer(lua_State* L, int made) : L_(L), made_(made) {}

  void push(const Value& value) {
    switch (value.type()) {
      case Value::Type::nil:
        lua_pushnil(L_);
        break;
      case Value::Type::boolean:
        lua_pushboolean(L_, value.boolean());
        break;
      case Value::Type::number:
        lua_pushnumber(L_, value.number());
        break;
      case Value::Type::int64:
        cdata::push_int64(L_, value.int64());
        break;
      case Value::Type::uint64:
        cdata::push_uint64(L_, value.uint64());
        break;
      case Value::Type::string:
        lua_pushlstring(L_, value.bytes().data(), value.bytes().size());
        break;
      case Value::Type::library:
        push_library(L_, value.bytes());
        break;
      case Value::Type::object:
        push_handle(value.object());
        break;
      case Value::Type::table:
        push_table(value.table());
        break;
      case Value::Type::function:
        push_function(value.function());
        break;
    }
  }

  void fill_all() {
    for (lua_Integer i = 1; i <= pending_; ++i) {
      lua_rawgeti(L_, made_ + 1, static_cast<int>(i));
      const void* node = lua_touserdata(L_, -1);
      lua_rawgeti(L_, made_ + 2, static_cast<int>(i));
      if (lua_istable(L_, -1))
        fill_table(*static_cast<const TableData*>(node));
      else
        fill_function(*static_cast<const FunctionData*>(node));
      lua_settop(L_, top_);
    }
  }

  void set_top(int top) noexcept { top_ = top; }

 private:
  // made[node pointer] = its Lua value; made + 1: the queue of nodes, made + 2: of their values.
  bool known(const void* node) {
    lua_pushlightuserdata(L_, const_cast<void*>(node));
    lua_rawget(L_, made_);
    if (!lua_isnil(L_, -1)) return true;
    lua_pop(L_, 1);
    return false;
  }

  void remember(const void* node) {
    lua_pushlightuserdata(L_, const_cast<void*>(node));
    lua_pushvalue(L_, -2);
    lua_rawset(L_, made_);
    ++pending_;
    lua_pushlightuserdata(L_, const_cast<void*>(node));
    lua_rawseti(L_, made_ + 1, pending_);
    lua_pushvalue(L_, -1);
    lua_rawseti(L_, made_ + 2, pending_);
  }

  // The same object is the same Lua value, as far as one call's values go.
  void push_handle(Object* object) {
    if (made_ != 0 && known(object)) return;
    push_object(L_, object);
    if (made_ == 0) return;
    lua_pushlightuserdata(L_, object);
    lua_pushvalue(L_, -2);
    lua_rawset(L_, made_);
  }

  void push_table(const TableData& table) {
    if (known(&table)) return;
    lua_createtable(L_, static_cast<int>(table.length()), static_cast<int>(table.fields.size()));
    const bool marked = table.mark == TableMark::map ? table.length() != 0 && table.fields.empty()
                                                     : table.mark == TableMark::array && table.length() == 0;
    if (marked) {
      lua_rawgeti(L_, LUA_REGISTRYINDEX, table.mark == TableMark::map ? slot::kMap : slot::kArray);
      lua_setmetatable(L_, -2);
    }
    remember(&table);
  }

  void push_function(const FunctionData& function) {
    if (known(&function)) return;
    if (luaL_loadbufferx(L_, function.bytecode.data(), function.bytecode.size(), function.name.c_str(),
                         "b") != 0)
      lua_error(L_);
    remember(&function);
  }

  void push_inside(const Value& value) {
    if (value.is_nil())
      cdata::push_null(L_);
    else
      push(value);
  }

  void fill_table(const TableData& table) {
    const int index = lua_gettop(L_);
    const std::size_t numbers = table.numbers.size();
    for (std::size_t i = osthread_write_numbers(L_, 1, table.numbers.data(), numbers); i < numbers; ++i) {
      lua_pushnumber(L_, table.numbers[i]);
      lua_rawseti(L_, index, static_cast<int>(i + 1));
    }
    for (std::size_t i = numbers == 0 ? write_numbers(table.array) : 0; i < table.array.size(); ++i) {
      push_inside(table.array[i]);
      lua_rawseti(L_, index, static_cast<int>(numbers + i + 1));
    }
    for (const auto& [key, field] : table.fields) {
      push(key);
      push_inside(field);
      lua_rawset(L_, index);
    }
  }

  // Those that the array begins with, into the table on top. How many.
  std::size_t write_numbers(const Values& array) {
    std::array<double, 256> numbers;
    std::size_t done = 0;
    for (;;) {
      std::size_t count = 0;
      while (count < numbers.size() && done + count < array.size() &&
             array[done + count].type() == Value::Type::number) {
        numbers[count] = array[done + count].number();
        ++count;
      }
      const std::size_t written = osthread_write_numbers(L_, done + 1, numbers.data(), count);
      done += written;
      if (written < numbers.size()) return done;
    }
  }

  void fill_function(const FunctionData& function) {
    const int index = lua_gettop(L_);
    int i = 0;
    for (const Value& upvalue : function.upvalues) {
      push(upvalue);
      if (!lua_setupvalue(L_, index, ++i)) lua_pop(L_, 1);
    }
  }

  lua_State* L_;
  int made_;
  int pending_ = 0;
  int top_ = 0;
};

bool is_plain(const Value& value) noexcept {
  return value.type() != Value::Type::table && value.type() != Value::Type::function;
}

int write_body(lua_State* L) {
  push_values(L, *static_cast<const Values*>(Vm::of(L).conversion));
  return lua_gettop(L);
}

}  // namespace

void push_values(lua_State* L, std::span<const Value> values) {
  const int count = static_cast<int>(values.size());
  luaL_checkstack(L, count + 20, "too many values");
  bool plain = true;  // nothing among them can be there twice
  int objects = 0;
  for (const Value& value : values) {
    objects += value.type() == Value::Type::object;
    plain = plain && objects <= 1 && is_plain(value);
  }
  const int base = lua_gettop(L);
  if (!plain) {
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
  }
  Writer writer(L, plain ? 0 : base + 1);
  for (const Value& value : values) writer.push(value);
  if (plain) return;
  writer.set_top(lua_gettop(L));
  writer.fill_all();
  lua_remove(L, base + 1);
  lua_remove(L, base + 1);
  lua_remove(L, base + 1);
}

int install_values(lua_State* L) {
  install_objects(L);
  for (const int mark : {slot::kArray, slot::kMap}) {
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, mark);
  }
  lua_pushcfunction(L, read_body);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kRead);
  lua_pushcfunction(L, write_body);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kWrite);
  return 0;
}

}  // namespace osthread
