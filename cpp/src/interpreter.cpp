#include "interpreter.hpp"

#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "builtins.hpp"
#include "chunk.hpp"
#include "library_names.hpp"
#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "prepared_states.hpp"
#include "registry_slots.hpp"

namespace osthread {
namespace {

// Everything of the options that has to be done in the state.
struct Preparation {
  const StateOptions* options;
  bool limited_require;
  int failed_module;  // -1: none
};

int prepare(lua_State* L) {
  auto* preparation = static_cast<Preparation*>(lua_touserdata(L, 1));
  const StateOptions& options = *preparation->options;
  if (preparation->limited_require) install_limited_require(L);
  if (options.path || options.cpath) {
    lua_getglobal(L, "package");
    if (!lua_istable(L, -1)) return luaL_error(L, "path and cpath need the library 'package'");
    for (const auto& [field, value] :
         {std::pair{"path", &options.path}, std::pair{"cpath", &options.cpath}}) {
      if (!*value) continue;
      lua_pushlstring(L, (*value)->data(), (*value)->size());
      lua_setfield(L, -2, field);
    }
    lua_settop(L, 1);
  }
  for (const auto& [name, source] : options.modules) {
    ++preparation->failed_module;
    lua_pushfstring(L, "=%s", name.c_str());
    if (luaL_loadbufferx(L, source.data(), source.size(), lua_tostring(L, -1),
                         options.bytecode ? "bt" : "t") != 0)
      lua_error(L);
    add_module(L, name.c_str());
    lua_settop(L, 1);
  }
  preparation->failed_module = -1;
  return 0;
}

struct Global {
  const std::string* name;
  const Values* value;
};

int set_global_body(lua_State* L) {
  const Run::Open open;
  const auto* global = static_cast<const Global*>(lua_touserdata(L, 1));
  lua_pushlstring(L, global->name->data(), global->name->size());
  push_values(L, *global->value);
  lua_rawset(L, LUA_GLOBALSINDEX);
  return 0;
}

int get_global_body(lua_State* L) {
  const Run::Open open;
  const auto* name = static_cast<const std::string*>(lua_touserdata(L, 1));
  lua_pushlstring(L, name->data(), name->size());
  lua_rawget(L, LUA_GLOBALSINDEX);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kChunk);
  return 0;
}

}  // namespace

Interpreter::Interpreter(StateOptions options, std::string name, std::shared_ptr<ThreadBudget> budget,
                         std::shared_ptr<MemoryAccount> given_away)
    : options_(std::move(options)), name_(std::move(name)) {
  interrupt::require_choice();
  const Libraries libraries = Libraries::of(options_.libraries);
  if (libraries.is_safe() && !options_.max_threads) options_.max_threads = 0;
  if (options_.memory_limit != 0 && options_.memory_limit < MemoryQuota::kFloor)
    throw std::invalid_argument("memory_limit: " + std::to_string(options_.memory_limit) +
                                " bytes are too few to run anything; at least 65536 are needed");
  if (options_.time_limit && options_.time_limit->count() < 0)
    throw std::invalid_argument("time_limit is negative");
  if (options_.grace.count() < 0) throw std::invalid_argument("grace is negative");
  vm_ = prepared_states::take();
  vm_->output = &options_.output;
  vm_->options = &options_;
  vm_->thread_budget = options_.max_threads
                           ? std::make_shared<ThreadBudget>(*options_.max_threads, std::move(budget))
                           : std::move(budget);
  vm_->restrict(libraries);
  if (!options_.jit) vm_->set_jit(false);
  const bool limited = !libraries.is_all() && !libraries.has(Libraries::kPackage);
  if (limited || options_.path || options_.cpath || !options_.modules.empty()) {
    Preparation preparation{&options_, limited, -1};
    try {
      vm_->protect(prepare, &preparation);
    } catch (const LuaMemoryError&) {
      throw;
    } catch (const LuaError& error) {
      if (preparation.failed_module < 0) throw std::invalid_argument(error.message());
      const auto& module = options_.modules[static_cast<std::size_t>(preparation.failed_module)].first;
      throw LuaSyntaxError(
          {.message = "module '" + module + "': " + error.message(),
           .frames = {},
           .value = nullptr,
           .thread = name_},
          module,
          line_of_error(options_.modules[static_cast<std::size_t>(preparation.failed_module)].second));
    }
  }
  vm_->set_memory_limit(options_.memory_limit, std::move(given_away));
  for (const auto& [global_name, value] : options_.globals) set_global(global_name, value);
  options_.globals.clear();  // the state alone holds them now
}

Interpreter::~Interpreter() = default;

// A collection may run finalizers in any of these; a run of their own bounds them, unless a function of the
// host asks that this very state calls.
void Interpreter::protect(lua_CFunction body, const void* context) {
  if (!stop_ || Run::is_in(*vm_)) {
    vm_->protect(body, context);
    return;
  }
  struct Call {
    Vm* vm;
    lua_CFunction body;
    const void* context;
    int status;
  } call{vm_.get(), body, context, 0};
  const int top = lua_gettop(vm_->state());
  Run run(*vm_, *stop_, Run::Kind::finalizers);
  const bool returned = run.call(
      [](void* argument) {
        auto* c = static_cast<Call*>(argument);
        c->status = c->vm->call(c->body, c->context);
      },
      &call);
  if (returned) {
    vm_->check(call.status, top);
    return;
  }
  left_ = leave(run);
  std::rethrow_exception(left_->error);
}

void Interpreter::set_global(const std::string& name, const Value& value) {
  const Values values{value};
  Global global{&name, &values};
  // Taking something away is possible in a full state, too.
  if (value.is_nil()) vm_->quota().lift();
  try {
    protect(set_global_body, &global);
  } catch (const LuaError&) {
    vm_->quota().restore();
    throw;
  }
  vm_->quota().restore();
}

std::vector<Object*> Interpreter::objects(const Values& held) const {
  std::unordered_map<Object*, std::uint32_t> holders;
  for (Object* object : boxed_objects(*vm_)) ++holders[object];
  std::unordered_set<const TableData*> seen;
  std::vector<const Value*> pending;
  for (const Value& value : held) pending.push_back(&value);
  while (!pending.empty()) {
    const Value& value = *pending.back();
    pending.pop_back();
    if (value.type() == Value::Type::object) ++holders[value.object()];
    if (value.type() != Value::Type::table || !seen.insert(&value.table()).second) continue;
    for (const Value& element : value.table().array) pending.push_back(&element);
    for (const auto& [key, field] : value.table().fields) pending.push_back(&field);
  }
  std::vector<Object*> objects;
  for (const auto& [object, count] : holders)
    if (object->count() == count) objects.push_back(object);
  return objects;
}

Value Interpreter::global(const std::string& name) {
  lua_State* L = vm_->state();
  const int top = lua_gettop(L);  // a function of the host may ask, while its caller's values are below
  protect(get_global_body, &name);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  Values values;
  try {
    values = read_values(L, lua_gettop(L), 1, {name.c_str(), false});
  } catch (const std::exception&) {
    lua_settop(L, top);
    throw;
  }
  lua_settop(L, top);
  return values.front();
}

// Whether it had to be left.
bool Interpreter::run_at_rest(Stop& stop, void (*body)(void* vm)) {
  Run run(*vm_, stop, Run::Kind::finalizers);
  if (run.call(body, vm_.get())) return false;
  left_ = leave(run);
  return true;
}

bool Interpreter::collect(Stop& stop) {
  return run_at_rest(stop, [](void* vm) { static_cast<Vm*>(vm)->collect_all(); });
}

bool Interpreter::finalize(Stop& stop) {
  return !left() && run_at_rest(stop, [](void* vm) { static_cast<Vm*>(vm)->run_finalizers(); });
}

void Interpreter::compile(const Code& code) {
  if (!options_.bytecode && code.source().starts_with('\x1b'))
    throw std::invalid_argument(
        "code: precompiled bytecode is refused, since wrong bytecode crashes the process; "
        "bytecode=True takes it from a source that you trust");
  Values function;
  if (!code.function().is_nil()) function.push_back(code.function());
  ChunkSource source{&code, options_.bytecode, false, 0, &function};
  vm_->quota().reset_exceeded();
  protect(load_chunk, &source);
  expression_ = source.expression;
  if (source.status == 0) return;
  lua_State* L = vm_->state();
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  std::string message = lua_tostring(L, -1) ? lua_tostring(L, -1) : "syntax error";
  lua_settop(L, 0);
  if (vm_->is_memory_error(source.status, message))
    throw LuaMemoryError({.message = "not enough memory to compile the chunk",
                          .frames = {},
                          .value = nullptr,
                          .thread = name_});
  const int line = line_of_error(code.source());
  if (looks_like_path(code.source()))
    message += " (a string is Lua source, never a file name: to run the file '" + code.source() +
               "' pass what is in it, or in Python a pathlib.Path)";
  // What it stumbled over stands in quotes at the end, unless it is a NUL byte.
  if (code.source().find('\0') != std::string::npos && !message.ends_with('\''))
    message += " (the code holds a NUL byte)";
  ErrorDetails details{
      .message = message, .frames = {}, .value = std::make_shared<const Value>(message), .thread = name_};
  const std::string chunk = code.chunk_name().empty() ? code.source().substr(0, code.source().find('\n'))
                                                      : code.chunk_name().substr(1);
  throw LuaSyntaxError(std::move(details), chunk, line);
}

Value Interpreter::compiled() {
  lua_State* L = vm_->state();
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  if (expression_ && lua_pcall(L, 0, 1, 0) != 0)
    throw LuaMemoryError({.message = "not enough memory", .frames = {}, .value = nullptr, .thread = {}});
  Value function = read_values(L, 1, 1, {"code", false}).front();
  lua_settop(L, 0);
  return function;
}

Outcome Interpreter::run(std::span<const Value> args, Stop& stop) {
  lua_State* L = vm_->state();
  lua_settop(L, 0);
  push_handler(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  return run_pushed(args, stop);
}

// The stack holds the handler of errors and the function.
Outcome Interpreter::run_pushed(std::span<const Value> args, Stop& stop) {
  constexpr int kFirst = 2;  // where the function is, and then the results begin
  lua_State* L = vm_->state();
  Outcome outcome;
  vm_->error_frames = &outcome.frames;
  vm_->quota().reset_exceeded();
  Run run(*vm_, stop);
  struct Call {
    lua_State* L;
    std::span<const Value> args;
    bool expression;
    int status;
  } call{L, args, expression_, 0};
  const bool returned = run.call(
      [](void* context) {
        auto* c = static_cast<Call*>(context);
        c->status = call_protected(c->L, c->args, c->expression);
      },
      &call);
  if (!returned) {
    outcome = leave(run);
    return outcome;
  }
  const int status = call.status;
  vm_->error_frames = nullptr;
  if (run.exiting()) {
    lua_settop(L, kFirst - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kExitValue);
    if (lua_isnil(L, -1)) lua_pop(L, 1);
  } else if (run.relentless()) {
    outcome.ending = Ending::stopped;
    outcome.error = stopped_error(cause_of(run), outcome.frames);
  } else if (stop.reason() != StopReason::none && !run.raised()) {
    // It was asked, and the chunk came to its end before it could be told: by itself, or since a system call
    // of it was cut short, whose result is then nothing to go by.
    outcome.ending = Ending::stopped;
    outcome.error = stopped_error({stop.reason(), StopStage::interrupt, stop.limit()}, outcome.frames);
  } else if (status != 0) {
    outcome.ending = Ending::failed;
    outcome.error = error_of(status, run, outcome);
    if (run.left() != Run::Left::no) {
      outcome = leave(run);
      return outcome;
    }
  }
  run.finish();
  if (outcome.ending == Ending::finished && run.raised() && !run.exiting()) {
    // `return pcall(f)`: the stop itself among the results.
    const int last = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kStop);
    for (int i = kFirst; i <= last && outcome.ending == Ending::finished; ++i) {
      if (!lua_rawequal(L, i, -1)) continue;
      outcome.ending = Ending::stopped;
      outcome.error = stopped_error(cause_of(run), outcome.frames);
    }
    lua_settop(L, last);
  }
  if (outcome.ending == Ending::finished) {
    try {
      outcome.results = read_values(L, kFirst, lua_gettop(L) - kFirst + 1, {"results"});
    } catch (const std::exception&) {
      outcome.ending = Ending::failed;
      outcome.error = std::current_exception();
    }
  }
  lua_settop(L, 0);
  return outcome;
}

}  // namespace osthread
