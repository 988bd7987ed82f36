#include "lua_call.hpp"

#include <algorithm>

#include "frames.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "run.hpp"

namespace osthread {
namespace {

// How many slots there always are, beside those that a call needs.
constexpr std::size_t kFreeSlots = LUA_MINSTACK - 4;

// Nil, booleans and numbers: pushing them takes no memory.
bool are_scalars(std::span<const Value> values) noexcept {
  return std::all_of(values.begin(), values.end(),
                     [](const Value& value) { return value.type() <= Value::Type::number; });
}

void push_scalars(lua_State* L, std::span<const Value> values) noexcept {
  for (const Value& value : values) {
    if (value.type() == Value::Type::number)
      lua_pushnumber(L, value.number());
    else if (value.type() == Value::Type::boolean)
      lua_pushboolean(L, value.boolean());
    else
      lua_pushnil(L);
  }
}

// The body of kInvoke: the function is its argument, the call its context.
struct Call {
  std::span<const Value> args;
  bool expression;
};

int invoke(lua_State* L) {
  const Call* call = static_cast<const Call*>(Vm::of(L).conversion);
  const Run::Open open;  // here the run is at home
  if (call->expression) lua_call(L, 0, 1);
  push_values(L, call->args);
  lua_call(L, static_cast<int>(call->args.size()), LUA_MULTRET);
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
  set_only_metamethod(L, "__tostring", text);
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

void set_only_metamethod(lua_State* L, const char* event, lua_CFunction method) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, method);
  lua_setfield(L, -2, event);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}

void push_handler(lua_State* L) noexcept { lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kOnError); }

int call_protected(lua_State* L, std::span<const Value> args, bool expression) {
  const int function = lua_gettop(L);
  // What most calls are needs no body to push its arguments in.
  if (!expression && args.size() <= kFreeSlots && are_scalars(args) && !lua_iscfunction(L, function)) {
    push_scalars(L, args);
    return lua_pcall(L, static_cast<int>(args.size()), LUA_MULTRET, function - 1);
  }
  Vm& vm = Vm::of(L);
  void* const outer = vm.conversion;
  Call call{args, expression};
  vm.conversion = &call;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kInvoke);
  lua_insert(L, function);
  const int status = lua_pcall(L, 1, LUA_MULTRET, function - 1);
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
  if (are_scalars(results)) {
    push_scalars(L, results);
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

int install_calls(lua_State* L) {
  make_sentinel(L, slot::kStop, stop_text);
  make_sentinel(L, slot::kExit, exit_text);
  const std::pair<int, lua_CFunction> bodies[] = {
      {slot::kInvoke, invoke}, {slot::kOnError, on_error}, {slot::kText, text_of}};
  for (const auto& [at, body] : bodies) {
    lua_pushcfunction(L, body);
    lua_rawseti(L, LUA_REGISTRYINDEX, at);
  }
  return 0;
}

}  // namespace osthread
