#include <pybind11/stl.h>

#include <cmath>

#include "bindings.hpp"
#include "python_shared.hpp"

namespace osthread::python {
namespace {

py::object option(const py::dict& options, const char* name) {
  return options.contains(name) ? py::object(options[name]) : py::none();
}

std::vector<std::string> strings(const py::object& names) { return names.cast<std::vector<std::string>>(); }

std::string bytes(py::handle text) {
  return py::isinstance<py::bytes>(text) ? std::string(py::reinterpret_borrow<py::bytes>(text))
                                         : text.cast<std::string>();
}

std::shared_ptr<Reference> output_of(const py::dict& options) {
  const py::object callable = option(options, "stdout");
  return callable.is_none() ? nullptr : std::make_shared<Reference>(callable);
}

// What a state and a thread have in common, into whichever of the two it is.
template <class Options>
void read_common(Options& target, const py::dict& options, const Encoding& encoding) {
  if (const py::object grace = option(options, "grace"); !grace.is_none())
    target.grace = duration(grace.cast<double>());
  if (const py::object limit = option(options, "time_limit"); !limit.is_none())
    target.time_limit = duration(limit.cast<double>());
  if (const py::object limit = option(options, "memory_limit"); !limit.is_none())
    target.memory_limit = limit.cast<std::size_t>();
  if (const py::object names = option(options, "libraries"); !names.is_none())
    target.libraries = strings(names);
  if (const py::object jit = option(options, "jit"); !jit.is_none()) target.jit = jit.cast<bool>();
  if (const py::object bytecode = option(options, "bytecode"); !bytecode.is_none())
    target.bytecode = bytecode.cast<bool>();
  if (const py::object most = option(options, "max_threads"); !most.is_none())
    target.max_threads = most.cast<std::size_t>();
  if (const py::object path = option(options, "path"); !path.is_none())
    target.path = path.cast<std::string>();
  if (const py::object path = option(options, "cpath"); !path.is_none())
    target.cpath = path.cast<std::string>();
  if (const py::object globals = option(options, "globals"); !globals.is_none())
    for (const auto& [name, value] : py::reinterpret_borrow<py::dict>(globals)) {
      const std::string key = bytes(name);
      target.globals.emplace_back(key, to_value(value, "globals." + key, encoding));
    }
  if (const py::object modules = option(options, "modules"); !modules.is_none())
    for (const auto& [name, source] : py::reinterpret_borrow<py::dict>(modules))
      target.modules.emplace_back(bytes(name), bytes(source));
}

}  // namespace

std::chrono::nanoseconds duration(double seconds) {
  // Longer than the clock goes is for ever, and so is what it can hold.
  constexpr double kMost = 9e9;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::fmin(seconds, kMost) * 1e9));
}

Encoding encoding_of(const py::dict& options) {
  if (!options.contains("encoding")) return Encoding("utf-8");
  const py::object encoding = options["encoding"];
  return encoding.is_none() ? Encoding() : Encoding(encoding.cast<std::string>());
}

ThreadOptions thread_options(const py::dict& options, const Encoding& encoding) {
  ThreadOptions target;
  read_common(target, options, encoding);
  if (auto callable = output_of(options)) target.output = output_to(std::move(callable));
  if (const py::object name = option(options, "name"); !name.is_none())
    target.name = name.cast<std::string>();
  if (const py::object suspended = option(options, "suspended"); !suspended.is_none())
    target.suspended = suspended.cast<bool>();
  if (const py::object size = option(options, "stack_size"); !size.is_none())
    target.stack_size = size.cast<std::size_t>();
  if (const py::object priority = option(options, "priority"); !priority.is_none()) {
    const auto name = priority.cast<std::string>();
    target.priority = name == "low" ? Priority::low : name == "high" ? Priority::high : Priority::normal;
  }
  if (const py::object cpus = option(options, "affinity"); !cpus.is_none())
    target.affinity = cpus.cast<std::vector<int>>();
  if (const py::object channels = option(options, "closes"); !channels.is_none())
    for (const py::handle channel : channels) target.closes.push_back(shared_to_value(channel).as<Channel>());
  if (const py::object channel = option(options, "notify"); !channel.is_none())
    target.notify = shared_to_value(channel).as<Channel>();
  return target;
}

StateOptions state_options(const py::dict& options, const Encoding& encoding,
                           std::weak_ptr<Reference>* output) {
  StateOptions target;
  read_common(target, options, encoding);
  if (auto callable = output_of(options)) {
    *output = callable;
    target.output = output_to(std::move(callable));
  }
  return target;
}

}  // namespace osthread::python
