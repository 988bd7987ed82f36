#include "interpreter.hpp"

#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "builtins.hpp"
#include "chunk.hpp"
#include "commands.hpp"
#include "library_names.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "prepared_states.hpp"
#include "registry_slots.hpp"
#include "watchdog.hpp"

namespace osthread {
namespace {

Libraries libraries_of(const std::vector<std::string>& names) {
  if (names.size() == 1 && names[0] == "all") return Libraries::all();
  if (names.size() == 1 && names[0] == "safe") return Libraries::safe();
  return Libraries::named(names);
}

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

int select_body(lua_State* L) {
  const Run::Open open;
  const auto* name = static_cast<const std::string_view*>(lua_touserdata(L, 1));
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
  return 0;
}

}  // namespace

Interpreter::Interpreter(StateOptions options, std::string name)
    : options_(std::move(options)), name_(std::move(name)) {
  const Libraries libraries = libraries_of(options_.libraries);
  if (options_.memory_limit != 0 && options_.memory_limit < MemoryQuota::kFloor)
    throw std::invalid_argument("memory_limit: " + std::to_string(options_.memory_limit) +
                                " bytes are too few to run anything; at least 65536 are needed");
  if (options_.time_limit && options_.time_limit->count() < 0)
    throw std::invalid_argument("time_limit is negative");
  if (options_.grace.count() < 0) throw std::invalid_argument("grace is negative");
  vm_ = prepared_states::take();
  vm_->output = &options_.output;
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
  vm_->set_memory_limit(options_.memory_limit);
  for (const auto& [global_name, value] : options_.globals) set_global(global_name, value);
  options_.globals.clear();  // the state alone holds them now
}

Interpreter::~Interpreter() = default;

// A collection may run finalizers in any of these; a run of their own bounds them, unless a function of the
// host asks that this very state calls.
void Interpreter::protect(lua_CFunction body, const void* context) {
  const Run* around = Run::current();
  if (!stop_ || (around && &around->vm() == vm_.get())) {
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

std::optional<Outcome> Interpreter::relieve(Stop& stop) {
  const MemoryQuota& quota = vm_->quota();
  const bool nearly_full = quota.limit() != 0 && quota.used() > quota.limit() - quota.limit() / 8;
  const bool killed = stop.leave() == Leave::killed;  // with the last instruction, as it were
  if (!quota.exceeded() && !nearly_full && !killed) return std::nullopt;
  Run run(*vm_, stop, Run::Kind::finalizers);
  if (run.call([](void* vm) { static_cast<Vm*>(vm)->collect_all(); }, vm_.get())) return std::nullopt;
  return leave(run);
}

std::optional<Outcome> Interpreter::finalize(Stop& stop) {
  if (left()) return std::nullopt;
  Run run(*vm_, stop, Run::Kind::finalizers);
  if (run.call([](void* vm) { static_cast<Vm*>(vm)->run_finalizers(); }, vm_.get())) return std::nullopt;
  return leave(run);
}

void Interpreter::select(std::string_view name) {
  expression_ = false;
  protect(select_body, &name);
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
    message += " (a string is Lua source, never a file name: pass a pathlib.Path to run the file '" +
               code.source() + "')";
  ErrorDetails details{
      .message = message, .frames = {}, .value = std::make_shared<const Value>(message), .thread = name_};
  const std::string chunk = code.chunk_name().empty() ? code.source().substr(0, code.source().find('\n'))
                                                      : code.chunk_name().substr(1);
  throw LuaSyntaxError(std::move(details), chunk, line);
}

// LuaJIT tells the line of a syntax error in the text alone, behind the chunk's name, which may hold
// anything: so it is asked once more, under a name that can't be mistaken.
int Interpreter::line_of_error(const std::string& source) {
  const Code code(source, "=?");
  const Values none;
  ChunkSource again{&code, options_.bytecode, false, 0, &none};
  protect(load_chunk, &again);
  lua_State* L = vm_->state();
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  const std::string_view message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  int line = 0;
  if (message.starts_with("?:")) std::from_chars(message.data() + 2, message.data() + message.size(), line);
  lua_settop(L, 0);
  return line;
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

namespace {

// Commands that a kill has ended are on the system's table until somebody asks for their status.
constexpr std::chrono::milliseconds kSoon{20};

void look_after_commands() noexcept {
  if (!commands::look_after_ended()) return;
  try {
    Watchdog::instance().schedule(Clock::now() + kSoon, []() -> std::optional<Clock::time_point> {
      if (!commands::look_after_ended()) return std::nullopt;
      return Clock::now() + kSoon;
    });
  } catch (const std::exception&) {
    return;  // no thread can be made for the watchdog: they go with the next one
  }
}

}  // namespace

// The run has left the VM, from wherever it was.
Outcome Interpreter::leave(const Run& run) {
  Outcome outcome;
  switch (run.left()) {
    case Run::Left::by_overflow:
      outcome.ending = Ending::failed;
      outcome.error =
          std::make_exception_ptr(LuaError({.message = "C stack overflow",
                                            .frames = {},
                                            .value = std::make_shared<const Value>("C stack overflow"),
                                            .thread = name_}));
      break;
    case Run::Left::by_limit:
      outcome.ending = Ending::stopped;
      outcome.error = stopped_error({run.why(), StopStage::kill, run.limit()}, {});
      break;
    default:
      outcome.ending = Ending::killed;
      outcome.error = std::make_exception_ptr(
          Killed({.message = "killed", .frames = {}, .value = nullptr, .thread = name_}, StopStage::kill));
  }
  vm_->error_frames = nullptr;
  vm_->discard();
  look_after_commands();
  return outcome;
}

Interpreter::Cause Interpreter::cause_of(const Run& run) {
  if (run.raised()) return {run.why(), StopStage::interrupt, run.limit()};
  return {StopReason::interrupt, StopStage::request, {}};
}

std::exception_ptr Interpreter::stopped_error(const Cause& cause, std::vector<Frame> frames) const {
  ErrorDetails details{.message = {}, .frames = std::move(frames), .value = nullptr, .thread = name_};
  if (cause.why == StopReason::deadline) {
    char text[64];
    std::snprintf(text, sizeof text, "time limit of %g s exceeded",
                  std::chrono::duration<double>(cause.limit).count());
    details.message = text;
    return std::make_exception_ptr(LuaTimeout(std::move(details)));
  }
  details.message =
      cause.stage == StopStage::request ? "stopped by request_stop()" : "stopped by interrupt()";
  return std::make_exception_ptr(Stopped(std::move(details), cause.stage));
}

Outcome Interpreter::run(const Values& args, Stop& stop) {
  lua_State* L = vm_->state();
  Outcome outcome;
  std::vector<Frame> frames;
  vm_->error_frames = &frames;
  vm_->quota().reset_exceeded();
  lua_settop(L, 0);
  Run run(*vm_, stop);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kChunk);
  struct Call {
    lua_State* L;
    const Values* args;
    bool expression;
    int status;
  } call{L, &args, expression_, 0};
  const bool returned = run.call(
      [](void* context) {
        auto* c = static_cast<Call*>(context);
        c->status = call_protected(c->L, *c->args, c->expression);
      },
      &call);
  if (!returned) return leave(run);
  const int status = call.status;
  outcome.frames = std::move(frames);
  vm_->error_frames = nullptr;
  if (run.exiting()) {
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kExitValue);
    if (lua_isnil(L, -1)) lua_settop(L, 0);
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
    if (run.left() != Run::Left::no) return leave(run);
  }
  run.finish();
  if (outcome.ending == Ending::finished && run.raised() && !run.exiting()) {
    // `return pcall(f)`: the stop itself among the results.
    const int count = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kStop);
    for (int i = 1; i <= count && outcome.ending == Ending::finished; ++i) {
      if (!lua_rawequal(L, i, -1)) continue;
      outcome.ending = Ending::stopped;
      outcome.error = stopped_error(cause_of(run), outcome.frames);
    }
    lua_settop(L, count);
  }
  if (outcome.ending == Ending::finished) {
    try {
      outcome.results = read_values(L, 1, lua_gettop(L), {"results"});
    } catch (const std::exception&) {
      outcome.ending = Ending::failed;
      outcome.error = std::current_exception();
    }
  }
  lua_settop(L, 0);
  return outcome;
}

std::exception_ptr Interpreter::error_of(int status, Run& run, Outcome& outcome) {
  lua_State* L = vm_->state();
  const int index = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kStop);
  // One that was kept from an earlier run is an error like any other.
  const bool is_stop = lua_rawequal(L, index, -1) && (run.raised() || run.stopped_by_request());
  lua_settop(L, index);
  // ERRERR with a stop raised: it hit the message handler itself.
  if (is_stop || (status == LUA_ERRERR && run.raised())) {
    outcome.ending = Ending::stopped;
    return stopped_error(cause_of(run), outcome.frames);
  }
  if (Object* object = object_at(L, index))
    if (auto* host = dynamic_cast<HostError*>(object)) {
      // The stop of this very run may have come out of a function of the host, which ran another state or
      // waited.
      const Stop& stop = run.stop();
      if (host->is_stop() && (stop.reason() != StopReason::none || stop.requested())) {
        outcome.ending = Ending::stopped;
        const bool asked = stop.reason() != StopReason::none;
        return stopped_error({stop.reason(), asked ? StopStage::interrupt : StopStage::request, stop.limit()},
                             outcome.frames);
      }
      return host->exception();
    }

  ErrorDetails details{.message = {}, .frames = outcome.frames, .value = nullptr, .thread = name_};
  std::string unconvertible;
  try {
    details.value = std::make_shared<const Value>(read_values(L, index, 1, {"error value", false}).front());
  } catch (const std::exception& error) {
    unconvertible = error.what();  // "error value: a coroutine can't cross threads": said in the message
  }
  if (lua_type(L, index) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(L, index, &size);
    details.message.assign(text, size);
  } else if (lua_type(L, index) == LUA_TNUMBER) {
    char text[32];  // Lua's own would make a string, which may raise
    std::snprintf(text, sizeof text, "%.14g", lua_tonumber(L, index));
    details.message = text;
  } else {
    lua_pushvalue(L, index);
    details.message = std::string("(error value is ") +
                      (details.value ? details.value->type_name() : luaL_typename(L, index)) + ")";
    if (!unconvertible.empty()) details.message += " " + unconvertible;
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kText);
    lua_pushvalue(L, index);
    struct Call {
      lua_State* L;
      int status;
    } call{L, 0};
    const bool returned = run.call(
        [](void* context) {
          auto* c = static_cast<Call*>(context);
          c->status = lua_pcall(c->L, 1, 1, 0);
        },
        &call);
    if (!returned) return nullptr;
    if (call.status == 0 && lua_type(L, -1) == LUA_TSTRING) {
      std::size_t size = 0;
      const char* text = lua_tolstring(L, -1, &size);
      details.message.assign(text, size);
    }
  }
  lua_settop(L, index);
  const bool memory = vm_->is_memory_error(status, details.message);
  std::exception_ptr error =
      memory ? std::make_exception_ptr(LuaMemoryError(details)) : std::make_exception_ptr(LuaError(details));
  if (!run.raised() || memory) return error;
  LuaError with_context(std::move(details));
  try {
    std::rethrow_exception(stopped_error(cause_of(run), {}));
  } catch (const Stopped& stopped) {
    with_context.set_context(std::make_shared<const Stopped>(stopped));
  } catch (const LuaTimeout& timeout) {
    with_context.set_context(std::make_shared<const LuaTimeout>(timeout));
  }
  return std::make_exception_ptr(with_context);
}

}  // namespace osthread
