#include "lua_channel.hpp"

#include <cmath>
#include <cstdio>
#include <new>
#include <stdexcept>
#include <string>

#include "channel_core.hpp"
#include "lua_call.hpp"
#include "lua_cdata.hpp"
#include "lua_message.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "lua_wait.hpp"
#include "registry.hpp"
#include "thread_core.hpp"

namespace osthread {
namespace {

using Outcome = Ring::Outcome;

static_assert(Ring::kShort <= Message::kMostText);

ChannelCore* core_in(const Box& box) noexcept { return static_cast<ChannelCore*>(object_in(box)); }

// --- What compiled code calls. Whatever is not plain and quick is left to the C functions below. ---

enum Sent : int { kSent, kNotNow, kClosed, kSlow };

bool is_usable(const ChannelCore* core) noexcept { return core && core->of_this_process(); }

int send_value(ChannelCore& core, Value& value, bool wait) noexcept {
  Outcome outcome = core.try_send(value);
  if (outcome == Outcome::not_now && wait && core.spin_to_send(std::nullopt)) outcome = core.try_send(value);
  return outcome == Outcome::done ? kSent : outcome == Outcome::closed ? kClosed : kNotNow;
}

int send_number(Box* box, double number, bool wait) noexcept {
  ChannelCore* core = core_in(*box);
  if (!is_usable(core)) return kSlow;
  Value value(number);
  return send_value(*core, value, wait);
}

// `what`: 0 false, 1 true, 2 nil.
int send_plain(Box* box, int what, bool wait) noexcept {
  ChannelCore* core = core_in(*box);
  if (!is_usable(core)) return kSlow;
  Value value = what == 2 ? Value() : Value(what == 1);
  return send_value(*core, value, wait);
}

int send_text(Vm* vm, Box* box, const char* bytes, std::size_t size, bool wait) noexcept {
  ChannelCore* core = core_in(*box);
  if (!is_usable(core) || !core->ring().can_send()) return kSlow;
  try {
    Value value = given_away(*vm, std::string_view(bytes, size));
    return send_value(*core, value, wait);
  } catch (const std::exception&) {  // no memory; there it is said
    return kSlow;
  }
}

bool is_quick(Ring::Kind kind) noexcept {
  switch (kind.type) {
    case Value::Type::number:
    case Value::Type::boolean:
    case Value::Type::nil:
      return true;
    case Value::Type::string:
      return kind.is_short;
    default:
      return false;
  }
}

int receive_quickly(Box* box, Message* message, bool wait) noexcept {
  ChannelCore* core = core_in(*box);
  if (!is_usable(core)) return kOther;
  Value value;
  Outcome outcome = core->try_receive(value, is_quick);
  if (outcome == Outcome::not_now && wait && core->spin_to_receive(std::nullopt))
    outcome = core->try_receive(value, is_quick);
  switch (outcome) {
    case Outcome::not_now:
      return kNothing;
    case Outcome::closed:
      return kEnd;
    case Outcome::refused:
      return kOther;
    case Outcome::done:
      break;
  }
  return hand_over(value, *message);
}

std::uint32_t size(Box* box) noexcept {
  const ChannelCore* core = core_in(*box);
  return core ? static_cast<std::uint32_t>(core->ring().size()) : 0;
}

bool close(Box* box) noexcept {
  ChannelCore* core = core_in(*box);
  return is_usable(core) && core->close();
}

bool is_same(const Box* one, const Box* other) noexcept { return object_in(*one) == object_in(*other); }

void drop(Vm* vm, Box* box) noexcept { empty_box(*vm, *box); }

// --- C functions: they may wait, and carry any value. ---

ChannelCore& channel_at(lua_State* L, int index, const char* function) {
  auto* core = dynamic_cast<ChannelCore*>(object_at(L, index));
  if (!core) luaL_error(L, "%s: a channel was wanted, not a %s", function, luaL_typename(L, index));
  if (!core->of_this_process())
    luaL_error(L, "%s: this channel was made before the fork, and belongs to the parent process", function);
  return *core;
}

int say(lua_State* L, const char* what) {
  lua_pushnil(L);
  lua_pushstring(L, what);
  return 2;
}

// One attempt to send or receive, from a C function that owns nothing to its body that may.
struct Attempt {
  ChannelCore* core;
  std::optional<Clock::time_point> deadline;
  Wait wait;
  Outcome outcome;
  bool spun = false;
};

Attempt& attempt_on_top(lua_State* L) { return *static_cast<Attempt*>(lua_touserdata(L, -1)); }

Values send_body(lua_State* L) {
  Attempt& attempt = attempt_on_top(L);
  Value value = std::move(read_values(L, 2, 1, {"value", false, true}).front());
  attempt.wait =
      attempt.core->send(value, attempt.outcome, Blocking::Caller::lua, attempt.deadline, attempt.spun);
  return {};
}

Values receive_body(lua_State* L) {
  Attempt& attempt = attempt_on_top(L);
  Value value;
  attempt.wait = attempt.core->receive(value, attempt.outcome, Blocking::Caller::lua, attempt.deadline,
                                       ChannelCore::any, attempt.spun);
  if (attempt.wait != Wait::over || attempt.outcome != Outcome::done) return {};
  return {std::move(value)};
}

// Arguments: the channel, the value, the timeout, whether the quick function has spun.
int send(lua_State* L) {
  lua_settop(L, 4);
  Attempt attempt{&channel_at(L, 1, "send"), deadline_at(L, 3, "send"), Wait::over, Outcome::not_now,
                  lua_toboolean(L, 4) != 0};
  Run& run = own_run(L);
  for (;;) {
    lua_settop(L, 4);
    lua_pushlightuserdata(L, &attempt);
    guarded(L, send_body);
    if (attempt.wait == Wait::over) break;
    if (attempt.wait == Wait::timed_out) return say(L, "timeout");
    if (must_give_up(L, run)) return say(L, "stopped");
  }
  if (attempt.outcome == Outcome::closed) return say(L, "closed");
  lua_pushboolean(L, 1);
  return 1;
}

// A nil comes as in tables, so that it is told from a channel's end.
int push_received(lua_State* L) {
  if (lua_isnil(L, -1)) cdata::push_null(L);
  return 1;
}

// Arguments: the channel, the timeout, whether the quick function has spun.
int receive(lua_State* L) {
  lua_settop(L, 3);
  Attempt attempt{&channel_at(L, 1, "receive"), deadline_at(L, 2, "receive"), Wait::over, Outcome::not_now,
                  lua_toboolean(L, 3) != 0};
  Run& run = own_run(L);
  for (;;) {
    lua_settop(L, 3);
    lua_pushlightuserdata(L, &attempt);
    if (guarded(L, receive_body) == 1) return push_received(L);
    if (attempt.wait == Wait::over) return say(L, "closed");
    if (attempt.wait == Wait::timed_out) return say(L, "timeout");
    if (must_give_up(L, run)) return say(L, "stopped");
  }
}

Values try_send_body(lua_State* L) {
  Attempt& attempt = attempt_on_top(L);
  Value value = std::move(read_values(L, 2, 1, {"value", false, true}).front());
  attempt.outcome = attempt.core->try_send(value);
  return {};
}

Values try_receive_body(lua_State* L) {
  Attempt& attempt = attempt_on_top(L);
  Value value;
  attempt.outcome = attempt.core->try_receive(value);
  if (attempt.outcome != Outcome::done) return {};
  return {std::move(value)};
}

int try_send(lua_State* L) {
  lua_settop(L, 2);
  Attempt attempt{&channel_at(L, 1, "try_send"), std::nullopt, Wait::over, Outcome::not_now};
  lua_pushlightuserdata(L, &attempt);
  guarded(L, try_send_body);
  if (attempt.outcome != Outcome::done) return say(L, attempt.outcome == Outcome::closed ? "closed" : "full");
  lua_pushboolean(L, 1);
  return 1;
}

int try_receive(lua_State* L) {
  lua_settop(L, 1);
  Attempt attempt{&channel_at(L, 1, "try_receive"), std::nullopt, Wait::over, Outcome::not_now};
  lua_pushlightuserdata(L, &attempt);
  if (guarded(L, try_receive_body) == 1) return push_received(L);
  return say(L, attempt.outcome == Outcome::closed ? "closed" : "empty");
}

struct Selection {
  std::optional<Clock::time_point> deadline;
  int count;  // of channels, the first arguments
  Wait wait;
  Outcome outcome;
  std::size_t at;
};

Values select_body(lua_State* L) {
  auto& selection = *static_cast<Selection*>(lua_touserdata(L, -1));
  std::vector<ChannelCore*> channels;
  for (int i = 1; i <= selection.count; ++i) channels.push_back(static_cast<ChannelCore*>(object_at(L, i)));
  Value value;
  selection.wait = osthread::select(channels, value, selection.at, selection.outcome, Blocking::Caller::lua,
                                    selection.deadline);
  if (selection.wait != Wait::over || selection.outcome != Outcome::done) return {};
  return {std::move(value)};
}

// Arguments: channels, and at last maybe a timeout.
int select(lua_State* L) {
  const int top = lua_gettop(L);
  const bool timed = top > 0 && (lua_type(L, top) == LUA_TNUMBER || lua_isnil(L, top));
  Selection selection{timed ? deadline_at(L, top, "select") : std::nullopt, top - timed, Wait::over,
                      Outcome::not_now, 0};
  for (int i = 1; i <= selection.count; ++i) channel_at(L, i, "select");
  if (selection.count == 0) return say(L, "closed");
  luaL_checkstack(L, 4, "too many channels");
  Run& run = own_run(L);
  for (;;) {
    lua_settop(L, top);
    lua_pushlightuserdata(L, &selection);
    if (guarded(L, select_body) == 1) {
      lua_pushvalue(L, static_cast<int>(selection.at) + 1);
      lua_insert(L, -2);
      return push_received(L) + 1;
    }
    if (selection.wait == Wait::over) return say(L, "closed");
    if (selection.wait == Wait::timed_out) return say(L, "timeout");
    if (must_give_up(L, run)) return say(L, "stopped");
  }
}

Values make_body(lua_State* L) {
  const double capacity = lua_tonumber(L, 1);
  if (!(capacity >= 1 && capacity <= static_cast<double>(ChannelCore::kMost)) ||
      std::trunc(capacity) != capacity) {
    char text[32];
    std::snprintf(text, sizeof text, "%.14g", capacity);
    throw std::invalid_argument(
        std::string("Channel: the capacity must be a whole number from 1 to 2^31, not ") + text);
  }
  return {Value::adopt(new ChannelCore(static_cast<std::size_t>(capacity)))};
}

int make(lua_State* L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_pushinteger(L, static_cast<lua_Integer>(Channel::kDefaultCapacity));
    lua_replace(L, 1);
  }
  luaL_checknumber(L, 1);
  return guarded(L, make_body);
}

// The channel that the thread of this state receives from.
int mailbox(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    ThreadCore* core = registry::current();
    if (!core || !core->runs(Vm::of(state)))
      throw std::logic_error("receive: no OSThread runs this code, so it has no mailbox");
    return {core->mailbox()};
  });
}

int describe(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    const Object* object = object_at(state, 1);
    return {object ? object->describe() : std::string("a channel that has been finalized")};
  });
}

Values statistics_body(lua_State* L) {
  const auto* core = static_cast<ChannelCore*>(object_at(L, 1));
  const ChannelStatistics now = core->statistics();
  return {Value::map({{"sent", now.sent},
                      {"received", now.received},
                      {"size", now.size},
                      {"capacity", now.capacity},
                      {"waiting_senders", now.waiting_senders},
                      {"waiting_receivers", now.waiting_receivers},
                      {"closed", now.closed}})};
}

int statistics(lua_State* L) {
  channel_at(L, 1, "statistics");
  return guarded(L, statistics_body);
}

}  // namespace

void push_channel_core(lua_State* L) {
  // All of them, as the Lua half declares their types by name.
  const std::pair<const char*, const void*> quick[] = {
      {"send_number", reinterpret_cast<const void*>(send_number)},
      {"send_plain", reinterpret_cast<const void*>(send_plain)},
      {"send_text", reinterpret_cast<const void*>(send_text)},
      {"receive_quickly", reinterpret_cast<const void*>(receive_quickly)},
      {"size", reinterpret_cast<const void*>(size)},
      {"close", reinterpret_cast<const void*>(close)},
      {"is_same", reinterpret_cast<const void*>(is_same)},
      {"drop", reinterpret_cast<const void*>(drop)}};
  for (const auto& [name, function] : quick) {
    lua_pushlightuserdata(L, const_cast<void*>(function));
    lua_setfield(L, -2, name);
  }
  const std::pair<const char*, lua_CFunction> slow[] = {
      {"send_slowly", send},        {"receive_slowly", receive}, {"try_send", try_send},
      {"try_receive", try_receive}, {"select", select},          {"make", make},
      {"mailbox", mailbox},         {"describe", describe},      {"statistics", statistics}};
  for (const auto& [name, function] : slow) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  }
  lua_pushlightuserdata(L, &Vm::of(L));
  lua_setfield(L, -2, "vm");
  push_inbox(L);
}

}  // namespace osthread
