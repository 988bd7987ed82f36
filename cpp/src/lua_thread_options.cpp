#include "lua_thread_options.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "vm.hpp"

namespace osthread {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& wanted, const Value& value) {
  throw ConversionError(name, "must be " + wanted + ", not " + value.type_name());
}

std::string text(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::string) refuse(name, "a string", value);
  const std::string bytes(value.bytes());
  if (bytes.find('\0') != std::string::npos) throw std::invalid_argument(name + " holds a zero byte");
  return bytes;
}

bool flag(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::boolean) refuse(name, "true or false", value);
  return value.boolean();
}

std::chrono::nanoseconds duration(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::number) refuse(name, "a number of seconds", value);
  constexpr double kMost = 9e9;  // seconds that fit into the clock's nanoseconds
  if (!(value.number() >= 0)) throw std::invalid_argument(name + " must be 0 seconds or more");
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::fmin(value.number(), kMost) * 1e9));
}

std::size_t whole(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::number) refuse(name, "a whole number", value);
  const double number = value.number();
  if (!(number >= 0 && number <= 0x1p53 && number == std::floor(number)))
    throw std::invalid_argument(name + " must be a whole number from 0 on");
  return static_cast<std::size_t>(number);
}

int cpu(const std::string& name, const Value& value) {
  const std::size_t number = whole(name, value);
  if (number > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::invalid_argument(name + ": there is no CPU " + std::to_string(number));
  return static_cast<int>(number);
}

const Values& list(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::table || !value.fields().empty()) refuse(name, "a list", value);
  return value.elements();
}

template <class T>
T one_of(const std::string& name, const Value& value,
         std::initializer_list<std::pair<const char*, T>> known) {
  const std::string given = text(name, value);
  std::string names;
  for (const auto& [each, meaning] : known) {
    if (given == each) return meaning;
    names += (names.empty() ? "\"" : ", \"") + std::string(each) + '"';
  }
  throw std::invalid_argument(name + " must be one of " + names + ", not \"" + given + '"');
}

Channel channel(const std::string& name, const Value& value) {
  try {
    return value.as<Channel>();
  } catch (const ConversionError&) {
    refuse(name, "a channel", value);
  }
}

void narrow_libraries(ThreadOptions& options, const Value& value) {
  std::vector<std::string> names;
  if (value.type() == Value::Type::string)
    names = {text("libraries", value)};
  else
    for (const Value& each : list("libraries", value)) names.push_back(text("libraries", each));
  if (!Libraries::of(names).within(Libraries::of(options.libraries)))
    throw std::invalid_argument(
        "libraries: a thread can be given no more than those of the one that starts it");
  options.libraries = std::move(names);
}

std::string key_of(const Value& key) {
  if (key.type() != Value::Type::string)
    throw std::invalid_argument("the options of a thread have names; " + place_step(key) + " is none");
  return std::string(key.bytes());
}

// The entries of a table in which each has a name.
const auto& named(const std::string& name, const Value& value) {
  if (value.type() != Value::Type::table) refuse(name, "a table", value);
  if (!value.elements().empty()) throw ConversionError(name + "[1]", "this has no name to be known by");
  return value.fields();
}

std::string name_of(const std::string& name, const Value& key) {
  if (key.type() != Value::Type::string)
    throw ConversionError(name + place_step(key), "this has no name to be known by");
  return std::string(key.bytes());
}

void set(ThreadOptions& options, const std::string& name, const Value& value, bool safe) {
  if (name == "name") {
    options.name = text(name, value);
  } else if (name == "chunk_name") {
    options.chunk_name = text(name, value);
  } else if (name == "suspended") {
    options.suspended = flag(name, value);
  } else if (name == "on_exit") {
    options.on_exit = one_of<OnExit>(
        name, value, {{"join", OnExit::join}, {"terminate", OnExit::terminate}, {"detach", OnExit::detach}});
  } else if (name == "grace") {
    // Who kills the one that starts it waits as long for this one.
    options.grace = safe ? std::min(options.grace, duration(name, value)) : duration(name, value);
  } else if (name == "time_limit") {
    const std::chrono::nanoseconds limit = duration(name, value);
    options.time_limit = options.time_limit ? std::min(*options.time_limit, limit) : limit;
  } else if (name == "memory_limit") {
    const std::size_t limit = whole(name, value);
    if (limit == 0) throw std::invalid_argument("memory_limit must be a number of bytes above 0");
    options.memory_limit = options.memory_limit != 0 ? std::min(options.memory_limit, limit) : limit;
  } else if (name == "libraries") {
    narrow_libraries(options, value);
  } else if (name == "jit") {
    options.jit = flag(name, value) && options.jit;
  } else if (name == "max_threads") {
    options.max_threads = whole(name, value);
  } else if (name == "globals") {
    for (const auto& [key, global] : named(name, value))
      options.globals.emplace_back(name_of(name, key), global);
  } else if (name == "modules") {
    for (const auto& [key, source] : named(name, value))
      options.modules.emplace_back(name_of(name, key), text(name + place_step(key), source));
  } else if (name == "path") {
    options.path = text(name, value);
  } else if (name == "cpath") {
    options.cpath = text(name, value);
  } else if (name == "bytecode") {
    options.bytecode = flag(name, value);
    if (options.bytecode && safe)
      throw std::invalid_argument("bytecode: not in a thread whose libraries are \"safe\"");
  } else if (name == "closes") {
    for (const Value& each : list(name, value)) options.closes.push_back(channel(name, each));
  } else if (name == "notify") {
    options.notify = channel(name, value);
  } else if (name == "stack_size") {
    options.stack_size = whole(name, value);
  } else if (name == "priority") {
    options.priority = one_of<Priority>(
        name, value, {{"low", Priority::low}, {"normal", Priority::normal}, {"high", Priority::high}});
  } else if (name == "affinity") {
    for (const Value& each : list(name, value)) options.affinity.push_back(cpu(name, each));
  } else {
    throw std::invalid_argument(
        "there is no option \"" + name +
        "\"; there are affinity, bytecode, chunk_name, closes, cpath, globals, grace, jit, libraries, "
        "max_threads, memory_limit, modules, name, notify, on_exit, path, priority, stack_size, suspended, "
        "time_limit");
  }
}

}  // namespace

ThreadOptions inherited_options(const Value& given, const StateOptions& own,
                                std::optional<std::chrono::nanoseconds> left) {
  ThreadOptions options{.grace = own.grace,
                        .time_limit = left,
                        .memory_limit = own.memory_limit,
                        .libraries = own.libraries,
                        .jit = own.jit,
                        .modules = own.modules,
                        .path = own.path,
                        .cpath = own.cpath,
                        .output = own.output};
  if (given.is_nil()) return options;
  const bool safe = Libraries::of(own.libraries).is_safe();
  if (!given.elements().empty())
    throw std::invalid_argument("the options of a thread have names; the code comes after the table");
  for (const auto& [key, value] : given.fields()) set(options, key_of(key), value, safe);
  return options;
}

}  // namespace osthread
