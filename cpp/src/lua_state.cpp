#include "osthread/lua_state.hpp"

#include "host.hpp"
#include "state_core.hpp"

namespace osthread {

Value compile_function(const Code& code) {
  Interpreter interpreter({}, std::string());
  interpreter.compile(code);
  return interpreter.compiled();
}

LuaState::LuaState(StateOptions options) : core_(std::make_unique<StateCore>(std::move(options))) {}
LuaState::~LuaState() = default;

Values LuaState::execute(const Code& code, const Values& args) {
  return core_->run([&](Interpreter& interpreter, Stop& stop) {
    interpreter.compile(code);
    return interpreter.run(args, stop);
  });
}

Values LuaState::eval(const std::string& expression) {
  return execute(Code("return " + expression, "=" + expression.substr(0, 60)));
}

Values LuaState::call(const Value& function, const Values& args) { return execute(Code(function), args); }

Values LuaState::call(const std::string& dotted_name, const Values& args) {
  return core_->run(
      [&](Interpreter& interpreter, Stop& stop) { return interpreter.run_global(dotted_name, args, stop); });
}

Value LuaState::get(const std::string& name) {
  return core_->with([&name](Interpreter& interpreter) { return interpreter.global(name); });
}

void LuaState::set(const std::string& name, const Value& value) {
  core_->with([&](Interpreter& interpreter) {
    interpreter.set_global(name, value);
    return Value();
  });
}

void LuaState::set_time_limit(std::optional<std::chrono::nanoseconds> limit) { core_->set_time_limit(limit); }
std::optional<std::chrono::nanoseconds> LuaState::time_limit() const { return core_->time_limit(); }

bool LuaState::interrupt() { return core_->interrupt(); }

bool LuaState::kill() {
  Stop::require_kill();
  return core_->kill();
}

StateStatistics LuaState::statistics() const { return core_->statistics(); }
std::vector<Frame> LuaState::error_frames() const { return core_->error_frames(); }
void LuaState::close() { core_->close(); }
bool LuaState::closed() const { return core_->closed(); }

Values host::call_looked_after(LuaState& state, std::string_view dotted_name, std::span<const Value> args) {
  const bool later = interrupt::reaches_running_code();
  if (!later) Stop::look_now();
  return state.core_->run(
      [&](Interpreter& interpreter, Stop& stop) { return interpreter.run_global(dotted_name, args, stop); },
      later);
}

std::vector<Object*> host::objects_of(const LuaState& state) { return state.core_->objects(); }

}  // namespace osthread
