#include "bindings.hpp"
#include "osthread/sync.hpp"
#include "python_shared.hpp"
#include "python_wait.hpp"

namespace osthread::python {
namespace {

// The bound base of a class: made anew by `make`, or from a Handle.
template <class T, class... Arguments>
py::class_<Shared<T>> bind_shared(py::module_& module, const char* name, const char* doc,
                                  T (*make)(Arguments...)) {
  return py::class_<Shared<T>>(module, name, doc)
      .def(py::init([make](Arguments... arguments) {
        return std::make_unique<Shared<T>>(Shared<T>{make(arguments...), Encoding()});
      }))
      .def(py::init([](const Handle& handle) {
             return std::make_unique<Shared<T>>(Shared<T>{T::from_value(handle.value), Encoding()});
           }),
           py::arg("handle"))
      .def_property_readonly("_key",
                             [](Self<Shared<T>> self) { return shared_key(self->object.to_value()); });
}

template <class T>
bool acquire(Self<Shared<T>> self, bool blocking, const py::object& timeout) {
  T& object = self->object;
  if (object.try_acquire()) return true;
  if (!blocking) return false;
  const auto deadline = deadline_of(timeout);
  return wait_for([&] { return host::acquire(object, deadline); });
}

bool wait_for_event(Self<Shared<Event>> self, const py::object& timeout) {
  const auto deadline = deadline_of(timeout);
  const std::uint64_t since = host::times_set(self->object);
  return wait_for([&] { return host::wait(self->object, since, deadline); });
}

std::size_t wait_at_barrier(Self<Shared<Barrier>> self, const py::object& timeout) {
  const auto deadline = deadline_of(timeout);
  host::BarrierArrival arrival(self->object);
  (void)wait_for([&] { return arrival.wait(deadline); });
  const std::optional<std::size_t> index = arrival.leave();
  if (!index) throw BrokenBarrier(BrokenBarrier::kBroken);
  return *index;
}

}  // namespace

void bind_sync(py::module_& module) {
  bind_shared<Lock>(
      module, "Lock", "One holder at a time; osthread.Lock is its public face.", +[] { return Lock(); })
      .def("_acquire", &acquire<Lock>, py::arg("blocking"), py::arg("timeout"))
      .def("_release", [](Self<Shared<Lock>> self) { self->object.release(); })
      .def("_locked", [](Self<Shared<Lock>> self) { return self->object.locked(); })
      .def("_abandoned", [](Self<Shared<Lock>> self) { return self->object.abandoned(); });
  bind_shared<Semaphore>(
      module, "Semaphore", "A count to take from; osthread.Semaphore is its public face.",
      +[](std::size_t value) { return Semaphore(value); })
      .def("_acquire", &acquire<Semaphore>, py::arg("blocking"), py::arg("timeout"))
      .def(
          "_release", [](Self<Shared<Semaphore>> self, std::size_t n) { self->object.release(n); },
          py::arg("n"))
      .def("_value", [](Self<Shared<Semaphore>> self) { return self->object.value(); });
  bind_shared<Barrier>(
      module, "Barrier", "Where threads meet; osthread.Barrier is its public face.",
      +[](std::size_t parties) { return Barrier(parties); })
      .def("_wait", &wait_at_barrier, py::arg("timeout"))
      .def("_reset", [](Self<Shared<Barrier>> self) { self->object.reset(); })
      .def("_abort", [](Self<Shared<Barrier>> self) { self->object.abort(); })
      .def("_parties", [](Self<Shared<Barrier>> self) { return self->object.parties(); })
      .def("_waiting", [](Self<Shared<Barrier>> self) { return self->object.waiting(); })
      .def("_broken", [](Self<Shared<Barrier>> self) { return self->object.broken(); });
  bind_shared<Event>(
      module, "Event", "A flag to wait for; osthread.Event is its public face.", +[] { return Event(); })
      .def("_set", [](Self<Shared<Event>> self) { self->object.set(); })
      .def("_clear", [](Self<Shared<Event>> self) { self->object.clear(); })
      .def("_is_set", [](Self<Shared<Event>> self) { return self->object.is_set(); })
      .def("_wait", &wait_for_event, py::arg("timeout"));
}

}  // namespace osthread::python
