#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "bindings.hpp"
#include "numeric_buffer.hpp"
#include "osthread/channel.hpp"
#include "python_errors.hpp"
#include "python_shared.hpp"
#include "python_wait.hpp"

namespace osthread::python {
namespace {

using PyChannel = Shared<Channel>;
using host::Passed;

constexpr const char* kStayedFull = "the channel stayed full";
constexpr const char* kNothingCame = "nothing came through the channel";
constexpr const char* kNothingCameOfThem = "nothing came through the channels";

[[noreturn]] void raise_error(const char* name, const std::string& text) {
  const py::object type = types().errors.attr(name);
  PyErr_SetString(type.ptr(), text.c_str());
  throw py::error_already_set();
}

[[noreturn]] void raise_timeout(const char* what) {
  PyErr_SetString(PyExc_TimeoutError, what);
  throw py::error_already_set();
}

bool try_send_value(PyChannel& channel, Value& value) {
  const std::optional<Passed> passed = host::try_send(channel.object, value);
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kSend);
  return passed.has_value();
}

// Whether it was sent in time.
bool send_value(PyChannel& channel, Value& value, std::optional<Clock::time_point> deadline) {
  if (try_send_value(channel, value)) return true;
  Passed passed = Passed::closed;
  if (!wait_for([&] { return host::send(channel.object, value, passed, deadline); })) return false;
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kSend);
  return true;
}

// Whether there was one in time; passed: done or refused.
bool receive_value(PyChannel& channel, Value& value, Passed& passed,
                   std::optional<Clock::time_point> deadline, bool numbers_only = false) {
  const std::optional<Passed> at_once = host::try_receive(channel.object, value, numbers_only);
  if (at_once)
    passed = *at_once;
  else if (!wait_for([&] { return host::receive(channel.object, value, passed, deadline, numbers_only); }))
    return false;
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kReceive);
  return true;
}

void send(Self<PyChannel> channel, const py::object& object, const py::object& timeout) {
  const auto deadline = deadline_of(timeout);
  Value value = to_value(object, "value", channel->encoding);
  if (!send_value(*channel, value, deadline)) raise_timeout(kStayedFull);
}

// A value on its way into a channel, converted once however often it is tried.
struct Message {
  Value value;
};

Message pack(Self<PyChannel> channel, const py::object& object) {
  return {to_value(object, "value", channel->encoding)};
}

// What a task tries, `last` when it will not wait any longer. Nothing, or false: not now.
bool send_now(Self<PyChannel> channel, Message& message, bool last) {
  const bool sent = try_send_value(*channel, message.value);
  if (!sent && last) raise_timeout(kStayedFull);
  return sent;
}

std::optional<py::tuple> receive_now(Self<PyChannel> channel, bool last) {
  Value value;
  const std::optional<Passed> passed = host::try_receive(channel->object, value);
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kReceive);
  if (passed) return py::make_tuple(to_python(value, channel->encoding));
  if (last) raise_timeout(kNothingCame);
  return std::nullopt;
}

void try_send(Self<PyChannel> channel, const py::object& object) {
  Value value = to_value(object, "value", channel->encoding);
  if (!try_send_value(*channel, value)) raise_error("WouldBlock", "the channel is full");
}

py::object receive(Self<PyChannel> channel, const py::object& timeout) {
  Value value;
  Passed passed = Passed::closed;
  if (!receive_value(*channel, value, passed, deadline_of(timeout))) raise_timeout(kNothingCame);
  return to_python(value, channel->encoding);
}

py::object try_receive(Self<PyChannel> channel) {
  Value value;
  const std::optional<Passed> passed = host::try_receive(channel->object, value);
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kReceive);
  if (!passed) raise_error("WouldBlock", "the channel is empty");
  return to_python(value, channel->encoding);
}

[[noreturn]] void closed_after(std::size_t sent) {
  const std::string text = std::string(ChannelClosed::kSend) + "; " + std::to_string(sent) +
                           (sent == 1 ? " value was sent" : " values were sent");
  const py::object error = call(types().errors.attr("ChannelClosed"), py::make_tuple(text));
  error.attr("sent") = sent;
  raise_object(error);
}

// Numbers out of an array, without the GIL and without a Python object for each.
template <class T>
void send_numbers(PyChannel& channel, const NumericBuffer& numbers) {
  std::array<Value, 256> values;  // the numbers from `first` to `last`
  std::size_t first = 0, last = 0, sent = 0;
  while (sent < numbers.size()) {
    std::optional<Passed> passed;
    {
      const GilRelease release;
      do {
        if (sent == last) {
          first = sent;
          last = std::min(numbers.size(), first + values.size());
          for (std::size_t i = first; i < last; ++i) values[i - first] = Value(numbers.at<T>(i));
        }
        std::size_t now = 0;
        passed = host::try_send_some(channel.object, {&values[sent - first], last - sent}, now);
        sent += now;
      } while (passed == Passed::done && sent < numbers.size());
    }
    if (!passed) {
      Passed later = Passed::closed;
      wait_for([&] { return host::send(channel.object, values[sent - first], later, std::nullopt); });
      passed = later;
      if (later == Passed::done) ++sent;
    }
    if (passed == Passed::closed) closed_after(sent);
  }
}

void send_many(Self<PyChannel> channel, const py::object& values) {
  if (const std::optional<NumericBuffer> numbers = NumericBuffer::of(values, "values")) {
    numbers->visit([&](auto zero) { send_numbers<decltype(zero)>(*channel, *numbers); });
    return;
  }
  std::size_t sent = 0;
  const py::iterator all = py::iter(values);
  for (const py::handle object : all) {
    Value value = to_value(object, "values[" + std::to_string(sent + 1) + "]", channel->encoding);
    try {
      send_value(*channel, value, std::nullopt);
    } catch (const ChannelClosed&) {
      closed_after(sent);
    }
    ++sent;
  }
}

// A value that has no form in Python: those before it have been taken, so the error has them.
[[noreturn]] void refused_after(const py::list& received, const Encoding& encoding) {
  const py::object error = exception_object(std::current_exception(), {}, encoding);
  error.attr("received") = py::tuple(received);
  raise_object(error);
}

py::object receive_many(Self<PyChannel> channel, std::size_t most, const py::object& timeout) {
  py::list list;
  if (most == 0) return list;
  Value value;
  Passed passed = Passed::closed;
  if (!receive_value(*channel, value, passed, deadline_of(timeout))) raise_timeout(kNothingCame);
  do {
    try {
      list.append(to_python(value, channel->encoding));
    } catch (const ConversionError&) {
      refused_after(list, channel->encoding);
    }
  } while (list.size() < most && host::try_receive(channel->object, value) == Passed::done);
  return list;
}

template <class T>
std::size_t receive_numbers(PyChannel& channel, const NumericBuffer& out, std::size_t most,
                            std::optional<Clock::time_point> deadline) {
  Value value;
  Passed passed = Passed::closed;
  if (!receive_value(channel, value, passed, deadline, true)) raise_timeout(kNothingCame);
  if (passed == Passed::refused)
    throw ConversionError("value",
                          "the next value is no number, so it can't go into `out`; receive() takes it");
  const GilRelease release;
  std::size_t count = 0;
  do {
    out.set<T>(count++, static_cast<T>(value.number()));
  } while (count < most && host::try_receive(channel.object, value, true) == Passed::done);
  return count;
}

std::size_t receive_into(Self<PyChannel> channel, std::size_t most, const py::object& timeout,
                         const py::object& array) {
  const std::optional<NumericBuffer> out = NumericBuffer::of(array, "out", true);
  if (!out || !(out->is<double>() || out->is<float>()))
    throw py::type_error(
        "out must be a writable one-dimensional array of float64 or float32; of another dtype, receive into "
        "one of float64 and convert it");
  most = std::min(most, out->size());
  if (most == 0) return 0;
  const auto deadline = deadline_of(timeout);
  return out->is<double>() ? receive_numbers<double>(*channel, *out, most, deadline)
                           : receive_numbers<float>(*channel, *out, most, deadline);
}

py::dict statistics(Self<PyChannel> channel) {
  const ChannelStatistics now = channel->object.statistics();
  using namespace py::literals;
  return py::dict("sent"_a = now.sent, "received"_a = now.received, "size"_a = now.size,
                  "capacity"_a = now.capacity, "waiting_senders"_a = now.waiting_senders,
                  "waiting_receivers"_a = now.waiting_receivers, "closed"_a = now.closed);
}

py::object value_of(const py::tuple& channels, std::size_t at, const Value& value) {
  return to_python(value, py::cast<Self<PyChannel>>(channels[at])->encoding);
}

py::tuple select(const py::tuple& objects, const py::object& timeout) {
  const std::vector<Channel> channels = channels_in(objects);
  const auto deadline = deadline_of(timeout);
  Value value;
  std::size_t at = 0;
  Passed passed = Passed::closed;
  if (!wait_for([&] { return host::select(channels, value, at, passed, deadline); }))
    raise_timeout(kNothingCameOfThem);
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kSelect);
  return py::make_tuple(objects[at], value_of(objects, at, value));
}

// As receive_now(): which of them, and the value.
std::optional<py::tuple> select_now(const py::tuple& objects, bool last) {
  const std::vector<Channel> channels = channels_in(objects);
  Value value;
  std::size_t at = 0;
  const std::optional<Passed> passed = host::try_select(channels, value, at);
  if (passed == Passed::closed) throw ChannelClosed(ChannelClosed::kSelect);
  if (passed) return py::make_tuple(at, value_of(objects, at, value));
  if (last) raise_timeout(kNothingCameOfThem);
  return std::nullopt;
}

}  // namespace

void bind_channel(py::module_& module) {
  py::class_<Handle>(module, "Handle", "An object that Lua has, on its way to its Python class.");
  py::class_<Message>(module, "Message", "A value on its way into a channel.");
  py::class_<PyChannel>(module, "Channel", "Hands values over; osthread.Channel is its public face.")
      .def(py::init([](std::size_t capacity, Encoding encoding) {
             return std::make_unique<PyChannel>(PyChannel{Channel(capacity), std::move(encoding)});
           }),
           py::arg("capacity"), py::arg("encoding"))
      .def(py::init([](const Handle& handle, Encoding encoding) {
             return std::make_unique<PyChannel>(
                 PyChannel{Channel::from_value(handle.value), std::move(encoding)});
           }),
           py::arg("handle"), py::arg("encoding"))
      .def_property_readonly("_key", [](Self<PyChannel> c) { return shared_key(c->object.to_value()); })
      .def("_send", &send, py::arg("value"), py::arg("timeout"))
      .def("_try_send", &try_send, py::arg("value"))
      .def("_receive", &receive, py::arg("timeout"))
      .def("_try_receive", &try_receive)
      .def("_pack", &pack, py::arg("value"))
      .def("_send_now", &send_now, py::arg("message"), py::arg("last"))
      .def("_receive_now", &receive_now, py::arg("last"))
      .def("_send_many", &send_many, py::arg("values"))
      .def("_receive_many", &receive_many, py::arg("most"), py::arg("timeout"))
      .def("_receive_into", &receive_into, py::arg("most"), py::arg("timeout"), py::arg("out"))
      .def("_close", [](Self<PyChannel> c) { return c->object.close(); })
      .def("_closed", [](Self<PyChannel> c) { return c->object.closed(); })
      .def("_size", [](Self<PyChannel> c) { return c->object.size(); })
      .def("_capacity", [](Self<PyChannel> c) { return c->object.capacity(); })
      .def("_statistics", &statistics);
  module.def("select", &select, py::arg("channels"), py::arg("timeout"));
  module.def("select_now", &select_now, py::arg("channels"), py::arg("last"));
}

}  // namespace osthread::python
