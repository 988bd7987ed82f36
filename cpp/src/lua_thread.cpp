#include "lua_thread.hpp"

#include "blocking.hpp"
#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_thread_options.hpp"
#include "lua_value.hpp"
#include "lua_wait.hpp"
#include "owned_threads.hpp"
#include "registry.hpp"
#include "registry_slots.hpp"

namespace osthread {
namespace {

// --- Starting ---

const StateOptions& own_options(lua_State* L) noexcept {
  return *static_cast<const StateOptions*>(Vm::of(L).options);
}

// What is left of the time that the running code has.
std::optional<std::chrono::nanoseconds> time_left() {
  Run* run = Run::current();
  const std::optional<Clock::time_point> deadline = run ? run->stop().deadline() : std::nullopt;
  if (!deadline) return std::nullopt;
  return std::max<std::chrono::nanoseconds>(*deadline - Clock::now(), std::chrono::nanoseconds(0));
}

// What a thread and its names hold beside its state, for as long as there are handles of it.
MemoryCharge charge_for_thread(lua_State* L, const ThreadOptions& options) {
  constexpr std::size_t kThreadCost = 4096;
  std::size_t bytes = kThreadCost + options.name.size() + options.chunk_name.size();
  for (const auto* path : {&options.path, &options.cpath})
    if (*path) bytes += (*path)->size();
  return Vm::of(L).quota().charge(bytes);
}

Value started(std::shared_ptr<ThreadCore> core) {
  Value handle = Value::adopt(new OwningThreadHandle(core));
  core->launch();
  return handle;
}

Code code_of(Value value) {
  if (value.type() != Value::Type::string) return Code(std::move(value));
  return Code(std::string(value.bytes()));
}

// Code that is being stopped starts no thread any more: each would have its own grace time, and start the
// next.
void require_unstopped() {
  const Run* run = Run::current();
  if (run && run->stop().reason() != StopReason::none) std::rethrow_exception(stopped_in_wait());
}

// Arguments: maybe a table of options, the code, and what it is called with.
Values make_body(lua_State* L) {
  require_unstopped();
  const int first = lua_istable(L, 1) ? 2 : 1;
  const Value given = first == 2 ? read_values(L, 1, 1, {"options", false}).front() : Value();
  ThreadOptions options = inherited_options(given, own_options(L), time_left());
  if (lua_isnoneornil(L, first)) throw std::invalid_argument("OSThread: there is no code to run");
  const Code code = code_of(read_values(L, first, 1, {"code", false}).front());
  if (!code.function().is_nil() && code.function().type() == Value::Type::function &&
      code.function().function().safe)
    options.libraries = {"safe"};
  Values args = read_values(L, first + 1, lua_gettop(L) - first, {"args"});
  const Vm& vm = Vm::of(L);
  MemoryCharge charge = charge_for_thread(L, options);
  return {started(ThreadCore::create(
      code, std::move(args), std::move(options),
      {.budget = vm.thread_budget, .given_away = vm.quota().given_away(), .charge = std::move(charge)}))};
}

void* pointer_at(lua_State* L, int index) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(lua_tonumber(L, index)));
}

// Arguments: the addresses of the routine and its parameter, and whether it is suspended.
Values make_native_body(lua_State* L) {
  const auto routine = reinterpret_cast<StartRoutine>(pointer_at(L, 1));
  if (!routine) throw std::invalid_argument("OSThread: the start routine is null");
  return {started(ThreadCore::create(routine, pointer_at(L, 2),
                                     {.suspended = static_cast<bool>(lua_toboolean(L, 3))},
                                     {.budget = Vm::of(L).thread_budget}))};
}

// --- Methods: the handle is the first argument. ---

ThreadHandle& handle_at(lua_State* L, const char* method) {
  auto* handle = dynamic_cast<ThreadHandle*>(object_at(L, 1));
  if (!handle)
    luaL_error(L, "%s: an OSThread was wanted, not a %s; methods are called with a colon: t:%s()", method,
               luaL_typename(L, 1), method);
  return *handle;
}

ThreadCore& core_at(lua_State* L, const char* method) { return *handle_at(L, method).core(); }

// The same in bodies, after the C function has looked.
ThreadCore& core(lua_State* L) { return *static_cast<ThreadHandle*>(object_at(L, 1))->core(); }

template <const char* method, Values (*body)(lua_State*)>
int call(lua_State* L) {
  core_at(L, method);
  return guarded(L, body);
}

Values start(lua_State* L) {
  core(L).start();
  return {};
}

Values request_stop(lua_State* L) { return {core(L).request_stop()}; }

Values interrupt_chunk(lua_State* L) { return {core(L).only_lua().interrupt()}; }
Values kill(lua_State* L) { return {core(L).only_lua().kill()}; }
Values pause(lua_State* L) { return {core(L).only_lua().pause()}; }
Values resume(lua_State* L) { return {core(L).only_lua().resume()}; }

Values terminate_body(lua_State* L) {
  ThreadCore& thread = core(L);
  const std::chrono::nanoseconds grace =
      lua_isnoneornil(L, 2) ? thread.options().grace : duration_of(lua_tonumber(L, 2));
  return {to_string(thread.terminate(grace, {}, Blocking::Caller::host))};
}

int terminate(lua_State* L) {
  ThreadCore& thread = core_at(L, "terminate");
  (void)deadline_at(L, 2, "terminate");  // for its errors
  const int count = guarded(L, terminate_body);
  // If the wait was given up, a stop of this code is due.
  if (Run* run = Run::current(); run && !thread.ended()) run->check(L, true);
  return count;
}

Values detach(lua_State* L) {
  auto* handle = dynamic_cast<OwningThreadHandle*>(object_at(L, 1));
  if (!handle)
    throw std::logic_error("detach: this OSThread was not started from Lua, and has another owner");
  if (handle->core()->status() == Status::suspended)
    throw std::logic_error("detach: an OSThread that was never started can't be detached");
  handle->detach();
  return {};
}

Values is_alive(lua_State* L) {
  const Status status = core(L).status();
  return {status == Status::running || status == Status::paused};
}

Values stack(lua_State* L) {
  const std::optional<std::vector<Frame>> frames = core(L).stack(deadline_after(std::chrono::seconds(1)));
  if (!frames)
    throw std::runtime_error(
        "stack: it runs no Lua just now: it is in a C function or a function of the host");
  Values list;
  for (const Frame& frame : *frames)
    list.push_back(Value::map({{"source", frame.source}, {"line", frame.line}, {"name", frame.name}}));
  return {Value::array(list)};
}

Values statistics(lua_State* L) {
  const ThreadStatistics now = core(L).statistics();
  return {Value::map({{"cpu_seconds", now.cpu_seconds},
                      {"wall_seconds", now.wall_seconds},
                      {"memory", now.memory},
                      {"peak_memory", now.peak_memory},
                      {"stops_asked", now.stops_asked},
                      {"waiting_for", now.waiting_for.empty() ? Value() : Value(now.waiting_for)},
                      {"waiting_seconds", now.waiting_seconds}})};
}

Values field(lua_State* L) {
  std::size_t size = 0;
  const char* name = lua_tolstring(L, 2, &size);
  return {static_cast<ThreadHandle*>(object_at(L, 1))->get({name, size})};
}

int get_field(lua_State* L) {
  handle_at(L, "index");
  if (lua_type(L, 2) == LUA_TSTRING) return guarded(L, field);
  lua_pushnil(L);
  return 1;
}

int say(lua_State* L, const char* what) {
  lua_pushnil(L);
  lua_pushstring(L, what);
  return 2;
}

// Until it has ended. False: out of time.
bool wait_for_end(lua_State* L, const char* method) {
  ThreadCore& thread = core_at(L, method);
  const std::optional<Clock::time_point> deadline = deadline_at(L, 2, method);
  if (!thread.ended()) {
    if (registry::current() == &thread) luaL_error(L, "%s: an OSThread can't wait for its own end", method);
    if (!deadline && thread.status() == Status::suspended)
      luaL_error(L, "%s: this OSThread was never started", method);
  }
  Run& run = own_run(L);
  for (;;) {
    switch (thread.wait(deadline, Blocking::Caller::lua)) {
      case Wait::over:
        return true;
      case Wait::timed_out:
        return false;
      default:
        if (must_give_up(L, run)) return false;
    }
  }
}

// true; or nil and "timeout", or "abandoned" if it has been given up.
int join(lua_State* L) {
  if (!wait_for_end(L, "join")) return say(L, "timeout");
  if (core_at(L, "join").status() == Status::abandoned) return say(L, "abandoned");
  lua_pushboolean(L, 1);
  return 1;
}

Values result_body(lua_State* L) {
  ThreadCore& thread = core(L);
  if (thread.status() == Status::lost)
    throw std::logic_error("result: this OSThread was made before the fork: it runs in the parent");
  const std::optional<Outcome> outcome = thread.shared_outcome();
  if (!outcome) throw std::logic_error("result: the host of this OSThread has fetched its result for itself");
  thread.note_fetched();
  if (outcome->error) std::rethrow_exception(outcome->error);
  return outcome->results;
}

// The chunk's results, or its error; or nil and "timeout".
int result(lua_State* L) {
  if (!wait_for_end(L, "result")) return say(L, "timeout");
  return guarded(L, result_body);
}

// The error that nobody has fetched, but for a stop that was asked for.
Values raise_unfetched(lua_State* L) {
  ThreadCore& thread = core(L);
  const std::optional<Outcome> outcome = thread.shared_outcome();
  if (!outcome || !outcome->error || thread.fetched()) return {};
  thread.note_fetched();
  try {
    std::rethrow_exception(outcome->error);
  } catch (const Stopped&) {
    if (thread.statistics().stops_asked == 0) throw;
  }
  return {};
}

// The end of a block: on_exit is applied, then an error raised that nobody has fetched.
int leave(lua_State* L) {
  lua_settop(L, 1);
  ThreadCore& thread = core_at(L, "with");
  if (thread.detached()) return 0;
  thread.resume();  // nobody is left to do so
  if (thread.status() == Status::suspended) {
    thread.discard();
    return 0;
  }
  switch (thread.options().on_exit) {
    case OnExit::detach:
      return guarded(L, detach);
    case OnExit::terminate:
      terminate(L);
      break;
    case OnExit::join:
      wait_for_end(L, "with");
      break;
  }
  lua_settop(L, 1);
  return guarded(L, raise_unfetched);
}

// The end of a block by an error.
int leave_by_error(lua_State* L) {
  lua_settop(L, 1);
  return core_at(L, "with").detached() ? 0 : terminate(L);
}

Values describe(lua_State* L) {
  const Object* object = object_at(L, 1);
  return {object ? object->describe() : std::string("an OSThread that has been finalized")};
}

// Argument: a type of the ffi, which only its text tells: ctype<int [2]>.
int is_array(lua_State* L) {
  lua_settop(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBuiltins);
  lua_getfield(L, -1, "tostring");
  lua_insert(L, 1);
  lua_settop(L, 2);
  lua_call(L, 1, 1);
  std::size_t size = 0;
  const char* text = lua_tolstring(L, 1, &size);
  lua_pushboolean(L, text && std::string_view(text, size).ends_with("]>"));
  return 1;
}

int make(lua_State* L) {
  // What is held by threads that have ended goes with their handles, which are garbage maybe.
  if (Vm::of(L).quota().has_given_much()) {
    const Run::Open open;  // finalizers run
    lua_gc(L, LUA_GCCOLLECT, 0);
  }
  return guarded(L, make_body);
}
int make_native(lua_State* L) { return guarded(L, make_native_body); }
int describe_handle(lua_State* L) { return guarded(L, describe); }

bool is_same(const Box* one, const Box* other) noexcept {
  const Object* object = object_in(*one);
  const Object* against = object_in(*other);
  return object && against && object->same(*against);
}

void drop(Vm* vm, Box* box) noexcept {
  if (auto* handle = dynamic_cast<OwningThreadHandle*>(object_in(*box)))
    if (!vm->ending()) handle->note_dropped();
  empty_box(*vm, *box);
}

constexpr char kStart[] = "start";
constexpr char kRequestStop[] = "request_stop";
constexpr char kInterrupt[] = "interrupt";
constexpr char kKill[] = "kill";
constexpr char kPause[] = "pause";
constexpr char kResume[] = "resume";
constexpr char kDetach[] = "detach";
constexpr char kIsAlive[] = "is_alive";
constexpr char kStack[] = "stack";
constexpr char kStatistics[] = "statistics";

void set_functions(lua_State* L, std::initializer_list<std::pair<const char*, lua_CFunction>> functions) {
  for (const auto& [name, function] : functions) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  }
}

void set_pointer(lua_State* L, const char* name, const void* pointer) {
  lua_pushlightuserdata(L, const_cast<void*>(pointer));
  lua_setfield(L, -2, name);
}

}  // namespace

bool may_start_threads(lua_State* L) {
  const Vm& vm = Vm::of(L);
  return !vm.safe || own_options(L).max_threads.value_or(0) > 0;
}

void push_thread_core(lua_State* L) {
  lua_createtable(L, 0, 16);
  set_functions(L, {{kStart, call<kStart, start>},
                    {kRequestStop, call<kRequestStop, request_stop>},
                    {kInterrupt, call<kInterrupt, interrupt_chunk>},
                    {kKill, call<kKill, kill>},
                    {kPause, call<kPause, pause>},
                    {kResume, call<kResume, resume>},
                    {kDetach, call<kDetach, detach>},
                    {kIsAlive, call<kIsAlive, is_alive>},
                    {kStack, call<kStack, stack>},
                    {kStatistics, call<kStatistics, statistics>},
                    {"terminate", terminate},
                    {"join", join},
                    {"result", result}});
  lua_setfield(L, -2, "methods");
  set_functions(L, {{"field", get_field},
                    {"leave", leave},
                    {"leave_by_error", leave_by_error},
                    {"describe", describe_handle}});
  if (may_start_threads(L)) set_functions(L, {{"make", make}});
  if (!Vm::of(L).safe) {
    set_functions(L, {{"make_native", make_native}, {"is_array", is_array}});
    set_pointer(L, "run_lua_thread", reinterpret_cast<const void*>(&RunLuaThread));
  }
  set_pointer(L, "is_same", reinterpret_cast<const void*>(is_same));
  set_pointer(L, "drop", reinterpret_cast<const void*>(drop));
  set_pointer(L, "vm", &Vm::of(L));
}

}  // namespace osthread
