#include "python_shared.hpp"

#include "osthread/shared_table.hpp"
#include "osthread/sync.hpp"

namespace osthread::python {
namespace {

template <class T>
bool take(py::handle object, Value& value) {
  if (!is_of<Shared<T>>(object)) return false;
  const Shared<T>* shared = made<Shared<T>>(object.ptr());
  if (!shared)
    throw std::logic_error(std::string(Py_TYPE(object.ptr())->tp_name) +
                           ".__init__() has not been called: a subclass calls super().__init__()");
  value = shared->object.to_value();
  return true;
}

}  // namespace

std::vector<Channel> channels_in(const py::tuple& objects) {
  std::vector<Channel> channels;
  for (const py::handle object : objects) {
    if (!is_of<Shared<Channel>>(object))
      throw py::type_error(std::string("select takes channels, not ") + Py_TYPE(object.ptr())->tp_name);
    channels.push_back(py::cast<Self<Shared<Channel>>>(object)->object);
  }
  if (channels.empty()) throw ChannelClosed("select needs a channel");
  return channels;
}

py::object shared_to_python(const Value& value, const Encoding& encoding) {
  const py::object name = encoding ? py::object(py::str(*encoding)) : py::object(py::none());
  return call(types().shared,
              py::make_tuple(value.object()->lua_class(), shared_key(value), Handle{value}, name));
}

Value shared_to_value(py::handle object) {
  Value value;
  (void)(take<Channel>(object, value) || take<Lock>(object, value) || take<Semaphore>(object, value) ||
         take<Barrier>(object, value) || take<SharedTable>(object, value) || take<Event>(object, value) ||
         take<ReleasableBuffer>(object, value));
  return value;
}

}  // namespace osthread::python
