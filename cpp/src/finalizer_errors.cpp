#include "finalizer_errors.hpp"

#include <atomic>
#include <cstdio>
#include <string>

#include "lua_call.hpp"
#include "lua_object.hpp"
#include "osthread/error.hpp"
#include "registry_slots.hpp"
#include "state_end.h"

namespace osthread {
namespace {

constinit std::atomic<FinalizerErrorReporter> reporter{nullptr};

bool is_stop(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kStop);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kExit);
  const bool stop = lua_rawequal(L, 1, -1) || lua_rawequal(L, 1, -2);
  lua_pop(L, 2);
  return stop;
}

constexpr char kFinalizer[] = "a finalizer";
constexpr char kProfiler[] = "a profiler's callback";

template <const char* source>
Values report(lua_State* L) {
  const auto* host = dynamic_cast<const HostError*>(object_at(L, 1));
  if (host && host->is_stop()) return {};
  std::string message = std::string("(error value is a ") + luaL_typename(L, 1) + ")";
  if (host) {
    message = host->describe();
  } else if (lua_type(L, 1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(L, 1, &size);
    message.assign(text, size);
  }
  const std::exception_ptr error =
      host ? host->exception()
           : std::make_exception_ptr(LuaError({.message = message,
                                               .frames = {},
                                               .value = std::make_shared<const Value>(message),
                                               .thread = {}}));
  const FinalizerErrorReporter report_error = reporter.load(std::memory_order_acquire);
  if (!report_error || !report_error(error, source))
    std::fprintf(stderr, "ERROR in %s: %s\n", source, message.c_str());
  return {};
}

int on_error(lua_State* L) {
  lua_settop(L, 1);
  return is_stop(L) ? 0 : guarded(L, report<kFinalizer>);
}

}  // namespace

int install_finalizer_errors(lua_State* L) {
  osthread_on_finalizer_error(L, on_error);
  return 0;
}

int report_profiler_error(lua_State* L) {
  lua_insert(L, 1);
  lua_settop(L, 1);
  return is_stop(L) ? 0 : guarded(L, report<kProfiler>);
}

void set_finalizer_error_reporter(FinalizerErrorReporter report_error) noexcept {
  // Release: whatever the reporter needs is there when it is first called.
  reporter.store(report_error, std::memory_order_release);
}

}  // namespace osthread
