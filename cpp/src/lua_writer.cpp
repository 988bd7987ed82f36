#include <algorithm>
#include <array>
#include <typeinfo>

#include "frames.hpp"
#include "library_names.hpp"
#include "lua_cdata.hpp"
#include "lua_object.hpp"
#include "lua_reader.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
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
    lua_createtable(L_, static_cast<int>(table.array.size()), static_cast<int>(table.fields.size()));
    const bool marked = table.mark == TableMark::map ? !table.array.empty() && table.fields.empty()
                                                     : table.mark == TableMark::array && table.array.empty();
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
    for (std::size_t i = write_numbers(table.array); i < table.array.size(); ++i) {
      push_inside(table.array[i]);
      lua_rawseti(L_, index, static_cast<int>(i + 1));
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

void push_plain_number(lua_State* L, const Value& value) noexcept {
  if (value.type() == Value::Type::number)
    lua_pushnumber(L, value.number());
  else if (value.type() == Value::Type::boolean)
    lua_pushboolean(L, value.boolean());
  else
    lua_pushnil(L);
}

// The body of kInvoke: the function is its argument, the call its context.
struct Call {
  const Values* args;
  bool expression;
};

int invoke(lua_State* L) {
  const Call* call = static_cast<const Call*>(Vm::of(L).conversion);
  const Values* args = call->args;
  const Run::Open open;  // here the run is at home
  if (call->expression) lua_call(L, 0, 1);
  push_values(L, *args);
  lua_call(L, static_cast<int>(args->size()), LUA_MULTRET);
  return lua_gettop(L);
}

int write_body(lua_State* L) {
  push_values(L, *static_cast<const Values*>(Vm::of(L).conversion));
  return lua_gettop(L);
}

int on_error(lua_State* L) {
  // Frames for people: nothing raises here, and if memory is short there are none.
  std::vector<Frame>* frames = Vm::of(L).error_frames;
  if (!frames) return 1;
  try {
    *frames = collect_frames(L, 1);
  } catch (const std::bad_alloc&) {
    frames->clear();
  }
  return 1;
}

int text_of(lua_State* L) {
  const Run::Open open;
  return luaL_callmeta(L, 1, "__tostring");
}

int stop_text(lua_State* L) {
  lua_pushliteral(L, "stopped");
  return 1;
}

int exit_text(lua_State* L) {
  lua_pushliteral(L, "exit");
  return 1;
}

// An error object known by its identity: a userdata nobody else can make.
void make_sentinel(lua_State* L, int at, lua_CFunction text) {
  lua_newuserdata(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, text);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_rawseti(L, LUA_REGISTRYINDEX, at);
}

std::string message_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

// A value that has to be made in the state, from outside of any protected call.
bool push_protected(lua_State* L, const Values& values) {
  Vm& vm = Vm::of(L);
  void* const outer = vm.conversion;
  vm.conversion = const_cast<Values*>(&values);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kWrite);
  const int status = lua_pcall(L, 0, LUA_MULTRET, 0);
  vm.conversion = outer;
  return status == 0;
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

namespace {

// Whether pushing them takes neither memory nor more slots than there always are.
bool push_without_call(const Values& args) noexcept {
  constexpr std::size_t kSlots = LUA_MINSTACK - 4;
  return args.size() <= kSlots && std::all_of(args.begin(), args.end(), [](const Value& value) {
           return value.type() <= Value::Type::number;
         });
}

}  // namespace

int call_protected(lua_State* L, const Values& args, bool expression) {
  // What most calls are needs no body to push its arguments in.
  if (!expression && !lua_iscfunction(L, -1) && push_without_call(args)) {
    const int base = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kOnError);
    lua_insert(L, base);
    for (const Value& value : args) push_plain_number(L, value);
    const int status = lua_pcall(L, static_cast<int>(args.size()), LUA_MULTRET, base);
    lua_remove(L, base);
    return status;
  }
  Vm& vm = Vm::of(L);
  void* const outer = vm.conversion;
  Call call{&args, expression};
  vm.conversion = &call;
  const int function = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kOnError);
  lua_insert(L, function);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kInvoke);
  lua_insert(L, function + 1);
  const int status = lua_pcall(L, 1, LUA_MULTRET, function);
  lua_remove(L, function);
  vm.conversion = outer;
  return status;
}

HostError::HostError(std::exception_ptr exception)
    : exception_(std::move(exception)), message_(message_of(exception_)) {
  try {
    std::rethrow_exception(exception_);
  } catch (const Stopped&) {
    is_stop_ = true;
  } catch (const LuaTimeout&) {
    is_stop_ = true;
  } catch (const HostException& error) {
    is_stop_ = error.is_stop();
  } catch (...) {
    is_stop_ = false;
  }
}

Value HostError::get(std::string_view name) const {
  try {
    std::rethrow_exception(exception_);
  } catch (const LuaError& error) {
    if (name == "message") return error.message();
    if (name == "value") return error.value() ? *error.value() : Value();
    if (name == "traceback") return error.traceback();
    if (name == "thread") return error.thread();
  } catch (const std::exception& error) {
    if (name == "message") return error.what();
  }
  return {};
}

namespace {

constexpr int kRaise = -1;    // the error value is on the stack
constexpr int kTooMany = -2;  // more results than a Lua stack has room for
constexpr int kNoMemory = -3;

// Does all that owns C++ objects; what is negative is raised by a frame that owns nothing.
int guarded_body(lua_State* L, Values (*body)(lua_State* L)) {
  Values results;
  bool failed = false;
  try {
    results = body(L);
  } catch (const std::exception&) {
    failed = true;
    try {
      results.clear();
      results.push_back(Value::adopt(new HostError(std::current_exception())));
    } catch (const std::bad_alloc&) {
      return kNoMemory;
    }
  }
  if (!lua_checkstack(L, static_cast<int>(results.size()) + 4)) return kTooMany;
  bool numbers = true;
  for (const Value& value : results)
    numbers = numbers &&
              (value.type() == Value::Type::number || value.type() == Value::Type::boolean || value.is_nil());
  if (numbers) {
    for (const Value& value : results) push_plain_number(L, value);
  } else if (!push_protected(L, results)) {
    failed = true;
  }
  return failed ? kRaise : static_cast<int>(results.size());
}

}  // namespace

int guarded(lua_State* L, Values (*body)(lua_State* L)) {
  const int count = guarded_body(L, body);
  if (count == kTooMany) return luaL_error(L, "too many results");
  if (count == kNoMemory) return luaL_error(L, "not enough memory");
  return count == kRaise ? lua_error(L) : count;
}

int install_values(lua_State* L) {
  install_objects(L);
  make_sentinel(L, slot::kStop, stop_text);
  make_sentinel(L, slot::kExit, exit_text);
  for (const int mark : {slot::kArray, slot::kMap}) {
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, mark);
  }
  const std::pair<int, lua_CFunction> bodies[] = {{slot::kInvoke, invoke},
                                                  {slot::kRead, read_body},
                                                  {slot::kWrite, write_body},
                                                  {slot::kOnError, on_error},
                                                  {slot::kText, text_of}};
  for (const auto& [at, body] : bodies) {
    lua_pushcfunction(L, body);
    lua_rawseti(L, LUA_REGISTRYINDEX, at);
  }
  return 0;
}

}  // namespace osthread
