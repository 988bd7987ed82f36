#include "osthread/options.hpp"

namespace osthread {

StateOptions ThreadOptions::state() const {
  return {.grace = grace,
          .time_limit = time_limit,
          .memory_limit = memory_limit,
          .libraries = libraries,
          .jit = jit,
          .globals = globals,
          .modules = modules,
          .path = path,
          .cpath = cpath,
          .output = output,
          .bytecode = bytecode,
          .max_threads = max_threads};
}

NativeThreadOptions ThreadOptions::native() const {
  return {.name = name,
          .suspended = suspended,
          .stack_size = stack_size,
          .priority = priority,
          .affinity = affinity};
}

Code::Code(Value function) : function_(std::move(function)) {
  if (function_.type() != Value::Type::function && function_.type() != Value::Type::library)
    throw ConversionError(
        "code", std::string(function_.type_name()) + " can't be run: Lua source or a Lua function can");
}

Code Code::named(const std::string& chunk_name) const {
  Code code = *this;
  // As Lua takes it: `=` before a name that is to stand as it is.
  if (!chunk_name.empty())
    code.chunk_name_ = (chunk_name[0] == '=' || chunk_name[0] == '@' ? "" : "=") + chunk_name;
  return code;
}

}  // namespace osthread
