#include "lua_sync.hpp"

#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_wait.hpp"
#include "sync_core.hpp"

namespace osthread {
namespace {

template <class Core>
Core& self(lua_State* L, const char* name, const char* method) {
  auto* core = dynamic_cast<Core*>(object_at(L, 1));
  if (!core)
    luaL_error(L, "%s: a %s is no %s; methods are called with a colon", method, luaL_typename(L, 1), name);
  if (!core->is_of_this_process())
    luaL_error(L, "%s: this %s was made before the fork, and belongs to the parent process", method, name);
  return *core;
}

LockCore& lock(lua_State* L, const char* method) { return self<LockCore>(L, "Lock", method); }
SemaphoreCore& semaphore(lua_State* L, const char* method) {
  return self<SemaphoreCore>(L, "Semaphore", method);
}
BarrierCore& barrier(lua_State* L, const char* method) { return self<BarrierCore>(L, "Barrier", method); }
EventCore& event(lua_State* L, const char* method) { return self<EventCore>(L, "Event", method); }

int push(lua_State* L, bool boolean) {
  lua_pushboolean(L, boolean);
  return 1;
}

// Calls attempt(deadline) until it is over (true) or out of time (false). Owns nothing, as it may raise.
template <class Attempt>
int wait(lua_State* L, const char* method, Attempt attempt) {
  const std::optional<Clock::time_point> deadline = deadline_at(L, 2, method);
  Run& run = own_run(L);
  for (;;) {
    switch (attempt(deadline)) {
      case Wait::over:
        return push(L, true);
      case Wait::timed_out:
        return push(L, false);
      default:
        if (must_give_up(L, run)) return push(L, false);
    }
  }
}

int lock_acquire(lua_State* L) {
  LockCore& core = lock(L, "acquire");
  if (core.try_acquire()) return push(L, true);
  return wait(L, "acquire", [&](auto deadline) { return core.acquire(Blocking::Caller::lua, deadline); });
}

int lock_release(lua_State* L) {
  if (!lock(L, "release").release()) return luaL_error(L, "release: nobody holds this lock");
  return 0;
}

int lock_locked(lua_State* L) { return push(L, lock(L, "locked").locked()); }
int lock_abandoned(lua_State* L) { return push(L, lock(L, "abandoned").abandoned()); }

int semaphore_acquire(lua_State* L) {
  SemaphoreCore& core = semaphore(L, "acquire");
  if (core.try_acquire()) return push(L, true);
  return wait(L, "acquire", [&](auto deadline) { return core.acquire(Blocking::Caller::lua, deadline); });
}

std::size_t count_at(lua_State* L, int index, lua_Number otherwise, lua_Number least, const char* function) {
  const lua_Number count = luaL_optnumber(L, index, otherwise);
  if (!(count >= least && count <= 0x1p53) ||
      count != static_cast<lua_Number>(static_cast<std::uint64_t>(count)))
    luaL_error(L, "%s: a whole number from %d on was wanted, not %f", function, static_cast<int>(least),
               count);
  return static_cast<std::size_t>(count);
}

Values semaphore_release_body(lua_State* L) {
  auto* core = static_cast<SemaphoreCore*>(object_at(L, 1));
  core->release(static_cast<std::size_t>(lua_tonumber(L, 2)));
  return {};
}

int semaphore_release(lua_State* L) {
  semaphore(L, "release");
  const std::size_t count = count_at(L, 2, 1, 1, "release");
  lua_settop(L, 1);
  lua_pushnumber(L, static_cast<lua_Number>(count));
  return guarded(L, semaphore_release_body);
}

int semaphore_value(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(semaphore(L, "value").value()));
  return 1;
}

int event_set(lua_State* L) {
  event(L, "set").set();
  return 0;
}

int event_clear(lua_State* L) {
  event(L, "clear").clear();
  return 0;
}

int event_is_set(lua_State* L) { return push(L, event(L, "is_set").is_set()); }

int event_wait(lua_State* L) {
  EventCore& core = event(L, "wait");
  if (core.is_set()) return push(L, true);
  const std::uint64_t since = core.times_set();
  return wait(L, "wait", [&](auto deadline) { return core.wait(since, Blocking::Caller::lua, deadline); });
}

// What a body and its C function hand each other. The arrival is an object of its own, which the body makes,
// so that the C function owns nothing.
struct BarrierWait {
  std::optional<Clock::time_point> deadline;
  BarrierCore::Arrival* arrival;
  bool give_up;
  Wait wait;
};

// One wait of an arrival, which ends unless a stop has to be looked at first.
Values barrier_wait_body(lua_State* L) {
  auto* core = static_cast<BarrierCore*>(object_at(L, 1));
  auto& state = *static_cast<BarrierWait*>(lua_touserdata(L, -1));
  if (!state.arrival) state.arrival = new BarrierCore::Arrival(core->arrive());
  state.wait =
      state.give_up ? Wait::timed_out : core->wait(*state.arrival, Blocking::Caller::lua, state.deadline);
  if (state.wait != Wait::over && state.wait != Wait::timed_out) return {};
  const std::unique_ptr<BarrierCore::Arrival> ended(state.arrival);
  const std::optional<std::size_t> index = core->leave(*ended);
  if (index) return {*index};
  return {nullptr, "broken"};
}

// A stop is raised only after the barrier has been left, and so broken for the others.
int barrier_wait(lua_State* L) {
  lua_settop(L, 2);
  barrier(L, "wait");
  BarrierWait state{deadline_at(L, 2, "wait"), nullptr, false, Wait::over};
  Run& run = own_run(L);
  for (;;) {
    lua_settop(L, 2);
    lua_pushlightuserdata(L, &state);
    const int count = guarded(L, barrier_wait_body);
    if (count > 0) {
      if (state.give_up) run.check(L, true);
      return count;
    }
    if (!run.stop_due()) run.attend_to(L);
    state.give_up = run.stop_due() || run.exiting();
  }
}

Values barrier_reset_body(lua_State* L) {
  static_cast<BarrierCore*>(object_at(L, 1))->reset();
  return {};
}

int barrier_reset(lua_State* L) {
  barrier(L, "reset");
  return guarded(L, barrier_reset_body);
}

int barrier_abort(lua_State* L) {
  barrier(L, "abort").abort();
  return 0;
}

int barrier_parties(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(barrier(L, "parties").parties()));
  return 1;
}

int barrier_waiting(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(barrier(L, "n_waiting").waiting()));
  return 1;
}

int barrier_broken(lua_State* L) { return push(L, barrier(L, "broken").broken()); }

int make_lock(lua_State* L) {
  return guarded(L, [](lua_State*) -> Values { return {Value::adopt(new LockCore)}; });
}

int make_event(lua_State* L) {
  return guarded(L, [](lua_State*) -> Values { return {Value::adopt(new EventCore)}; });
}

int make_semaphore(lua_State* L) {
  lua_settop(L, 1);
  lua_pushnumber(L, static_cast<lua_Number>(count_at(L, 1, 1, 0, "Semaphore")));
  return guarded(L, [](lua_State* state) -> Values {
    return {Value::adopt(new SemaphoreCore(static_cast<std::size_t>(lua_tonumber(state, -1))))};
  });
}

int make_barrier(lua_State* L) {
  luaL_checknumber(L, 1);
  lua_settop(L, 1);
  lua_pushnumber(L, static_cast<lua_Number>(count_at(L, 1, 1, 1, "Barrier")));
  return guarded(L, [](lua_State* state) -> Values {
    return {Value::adopt(new BarrierCore(static_cast<std::size_t>(lua_tonumber(state, -1))))};
  });
}

int describe(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    const Object* object = object_at(state, 1);
    return {object ? object->describe() : std::string("an object that has been finalized")};
  });
}

bool is_same(const Box* one, const Box* other) noexcept { return object_in(*one) == object_in(*other); }
void drop(Vm* vm, Box* box) noexcept { empty_box(*vm, *box); }

void set_functions(lua_State* L, std::initializer_list<std::pair<const char*, lua_CFunction>> functions) {
  for (const auto& [name, function] : functions) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  }
}

void add_class(lua_State* L, const char* name,
               std::initializer_list<std::pair<const char*, lua_CFunction>> methods) {
  lua_createtable(L, 0, static_cast<int>(methods.size()));
  set_functions(L, methods);
  lua_setfield(L, -2, name);
}

}  // namespace

void push_sync_core(lua_State* L) {
  lua_createtable(L, 0, 4);
  add_class(L, "Lock",
            {{"acquire", lock_acquire},
             {"release", lock_release},
             {"locked", lock_locked},
             {"abandoned", lock_abandoned}});
  add_class(L, "Semaphore",
            {{"acquire", semaphore_acquire}, {"release", semaphore_release}, {"value", semaphore_value}});
  add_class(L, "Barrier",
            {{"wait", barrier_wait},
             {"reset", barrier_reset},
             {"abort", barrier_abort},
             {"parties", barrier_parties},
             {"n_waiting", barrier_waiting},
             {"broken", barrier_broken}});
  add_class(L, "Event",
            {{"set", event_set}, {"clear", event_clear}, {"is_set", event_is_set}, {"wait", event_wait}});
  lua_setfield(L, -2, "methods");
  lua_createtable(L, 0, 4);
  set_functions(
      L,
      {{"Lock", make_lock}, {"Semaphore", make_semaphore}, {"Barrier", make_barrier}, {"Event", make_event}});
  lua_setfield(L, -2, "make");
  set_functions(L, {{"describe", describe}});
  lua_pushlightuserdata(L, reinterpret_cast<void*>(is_same));
  lua_setfield(L, -2, "is_same");
  lua_pushlightuserdata(L, reinterpret_cast<void*>(drop));
  lua_setfield(L, -2, "drop");
  lua_pushlightuserdata(L, &Vm::of(L));
  lua_setfield(L, -2, "vm");
}

}  // namespace osthread
