// What the next run runs, if it is not compiled for it: a global function by its name, or one that is kept.
#include "interpreter.hpp"
#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"

namespace osthread {
namespace {

struct Selection {
  std::string_view name;
  const CalledNames* kept;  // null: it is not to be
};

int select_body(lua_State* L) {
  const Run::Open open;
  const auto* selection = static_cast<const Selection*>(lua_touserdata(L, 1));
  const std::string_view* const name = &selection->name;
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  std::string_view rest = *name;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view field = rest.substr(0, dot);
    if (!lua_istable(L, -1)) {
      lua_pushnil(L);  // nothing has fields here
      break;
    }
    lua_pushlstring(L, field.data(), field.size());
    lua_rawget(L, -2);
    if (dot == std::string_view::npos) break;
    rest = rest.substr(dot + 1);
  }
  lua_pushlstring(L, name->data(), name->size());
  if (!lua_isfunction(L, -2)) return luaL_error(L, "there is no global function '%s'", lua_tostring(L, -1));
  lua_pop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kChunk);
  if (selection->kept) selection->kept->keep(L, *name);
  return 0;
}

struct Keep {
  lua_CFunction through;
  void* context;
  bool expression;
  int maker;  // LUA_NOREF: what is compiled is kept
  int function;
  const Values* args;
  int kept;
};

// The table of those that are kept, made when it is first needed.
void push_kept(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kKept);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kKept);
}

int keep_body(lua_State* L) {
  const Run::Open open;
  auto* keep = static_cast<Keep*>(lua_touserdata(L, 1));
  push_kept(L);
  lua_pushlightuserdata(L, keep->context);
  if (keep->maker == LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
    if (keep->expression) lua_call(L, 0, 1);
  } else {
    for (const int kept : {keep->maker, keep->function}) {
      lua_rawgeti(L, 2, kept);
      lua_getupvalue(L, -1, 2);
      lua_remove(L, -2);
    }
    push_values(L, *keep->args);
    lua_call(L, 1 + static_cast<int>(keep->args->size()), 1);
  }
  lua_pushcclosure(L, keep->through, 2);
  keep->kept = luaL_ref(L, 2);
  return 0;
}

}  // namespace

Outcome Interpreter::run_global(std::string_view name, std::span<const Value> args, Stop& stop) {
  expression_ = false;
  lua_State* L = vm_->state();
  lua_settop(L, 0);
  push_handler(L);
  if (called_.push(L, name)) return run_pushed(args, stop);
  const bool kept = name.find('.') == std::string_view::npos && called_.has_room();
  const Selection selection{name, kept ? &called_ : nullptr};
  protect(select_body, &selection);
  if (kept) called_.note(name);
  return run(args, stop);
}

int Interpreter::keep(lua_CFunction through, void* context) {
  Keep keep{through, context, expression_, LUA_NOREF, LUA_NOREF, nullptr, LUA_NOREF};
  protect(keep_body, &keep);
  return keep.kept;
}

int Interpreter::keep(lua_CFunction through, void* context, int maker, int function, const Values& args) {
  Keep keep{through, context, false, maker, function, &args, LUA_NOREF};
  protect(keep_body, &keep);
  return keep.kept;
}

Values Interpreter::are_new(const Values& values) const {
  Values answers;
  answers.reserve(values.size());
  for (const Value& value : values)
    answers.emplace_back(value.type() == Value::Type::object && !is_boxed(vm_->state(), value.object()));
  return answers;
}

// Neither of these two allocates: the places are there.
void Interpreter::select(int kept) noexcept {
  expression_ = false;
  lua_State* L = vm_->state();
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kKept);
  lua_rawgeti(L, -1, kept);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kChunk);
  lua_settop(L, -2);
}

void Interpreter::drop(int kept) noexcept {
  lua_State* L = vm_->state();
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kKept);
  luaL_unref(L, -1, kept);
  lua_settop(L, -2);
}

}  // namespace osthread
