// What comes of a run that did not simply return: the error for whoever asked for it.
#include <atomic>
#include <charconv>
#include <cstdio>

#include "chunk.hpp"
#include "commands.hpp"
#include "interpreter.hpp"
#include "leaks.hpp"
#include "lua_call.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "watchdog.hpp"

namespace osthread {
namespace {

// Commands that a kill has ended are on the system's table until somebody asks for their status.
constexpr std::chrono::milliseconds kSoon{20};

std::atomic<bool> looking_after{false};

std::optional<Clock::time_point> look_after_again() {
  if (commands::look_after_ended()) return Clock::now() + kSoon;
  looking_after.store(false, std::memory_order_relaxed);
  return std::nullopt;
}

void look_after_commands() noexcept {
  try {
    if (!commands::look_after_ended() || looking_after.exchange(true, std::memory_order_relaxed)) return;
    Watchdog::instance().schedule(Clock::now() + kSoon, look_after_again);
  } catch (const std::exception&) {
    looking_after.store(false,
                        std::memory_order_relaxed);  // no memory, or no thread for the watchdog: the next
  }
}

const char* reason_of(const Run& run) noexcept {
  const bool outer = run.left_for_outer();
  switch (run.left()) {
    case Run::Left::by_overflow:
      return ": its C stack overflowed";
    case Run::Left::by_limit:
      return outer ? ": only a kill could enforce the time limit of the code that had called it"
                   : ": only a kill could enforce its time limit";
    case Run::Left::by_host:
      return ": Ctrl-C ended it";
    case Run::Left::by_kill:
      return outer ? ": kill() ended the code that had called it" : ": kill() ended it";
    case Run::Left::no:
      break;
  }
  return "";
}

}  // namespace

// The run has left the VM, from wherever it was.
Outcome Interpreter::leave(const Run& run) {
  vm_->error_frames = nullptr;
  left_because_ = reason_of(run);
  // First: what follows may throw.
  if (vm_->shared)
    vm_->keep();
  else
    vm_->discard();
  look_after_commands();
  Outcome outcome;
  outcome.leaked.swap(vm_->c_modules);
  if (!outcome.leaked.empty()) report_leak(name_, outcome.leaked, vm_->shared);
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
      outcome.error = killed_error();
  }
  return outcome;
}

Outcome Interpreter::stopped(const Stop& stop) const {
  Outcome outcome;
  if (stop.leave() == Leave::killed) {
    outcome.ending = Ending::killed;
    outcome.error = killed_error();
    return outcome;
  }
  const bool asked = stop.reason() != StopReason::none;
  outcome.ending = Ending::stopped;
  outcome.error =
      stopped_error({stop.reason(), asked ? StopStage::interrupt : StopStage::request, stop.limit()}, {});
  return outcome;
}

std::exception_ptr Interpreter::killed_error() const {
  return std::make_exception_ptr(
      Killed({.message = "killed", .frames = {}, .value = nullptr, .thread = name_}, StopStage::kill));
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
    return std::make_exception_ptr(LuaTimeout(std::move(details), cause.stage));
  }
  details.message =
      cause.stage == StopStage::request ? "stopped by request_stop()" : "stopped by interrupt()";
  return std::make_exception_ptr(Stopped(std::move(details), cause.stage));
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
  // Where memory is full, the raising itself needs some: for the hook's frame, or the message handler. What
  // was asked for is then how it ended.
  if (memory && (run.raised() || run.stopped_by_request() || run.interrupted())) {
    outcome.ending = Ending::stopped;
    const StopReason asked = run.stop().reason();
    if (run.raised() || asked == StopReason::none) return stopped_error(cause_of(run), outcome.frames);
    return stopped_error({asked, StopStage::interrupt, run.stop().limit()}, outcome.frames);
  }
  std::exception_ptr error =
      memory ? std::make_exception_ptr(LuaMemoryError(details)) : std::make_exception_ptr(LuaError(details));
  if (!run.raised()) return error;
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

}  // namespace osthread
