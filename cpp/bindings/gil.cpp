#include "gil.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace osthread::python {
namespace {

std::atomic<bool> interpreter_ending{false};

struct Dropped {
  std::mutex mutex;
  std::vector<PyObject*> objects;
  bool announced = false;
};

// Never destroyed: threads may drop references while the process ends. Made when the module is loaded: what a
// function makes when it is first called stays locked in a fork's child, if a thread was making it.
Dropped* dropped_list = new Dropped;

int drop_all(void*) {
  std::vector<PyObject*> objects;
  {
    const std::lock_guard lock(dropped_list->mutex);
    objects.swap(dropped_list->objects);
    dropped_list->announced = false;
  }
  for (PyObject* object : objects) Py_DECREF(object);  // outside the lock: it may run anything
  return 0;
}

}  // namespace

void note_ending() noexcept { interpreter_ending.store(true, std::memory_order_seq_cst); }
void forget_parents() noexcept { dropped_list = new Dropped; }
bool ending() noexcept { return interpreter_ending.load(std::memory_order_seq_cst); }

StayOnThreadExit::~StayOnThreadExit() noexcept(false) {
  // What it is armed around throws no C++ exception: left early, the thread is being ended.
  while (armed_) std::this_thread::sleep_for(std::chrono::hours(1));
}

namespace {

// Holds on to the thread state of a thread of ours, from its first GilHold to its end.
class KeptThreadState {
 public:
  // With the GIL held.
  void keep() {
    if (kept_) return;
    kept_ = true;
    PyGILState_Ensure();  // counts once more, so that GilHold's release does not delete it
  }
  ~KeptThreadState() noexcept(false) {
    if (!kept_ || ending()) return;
    StayOnThreadExit stay;
    const PyGILState_STATE before = PyGILState_Ensure();
    PyGILState_Release(PyGILState_LOCKED);  // keep()'s
    PyGILState_Release(before);
    stay.disarm();
  }

 private:
  bool kept_ = false;
};

thread_local KeptThreadState kept_thread_state;

}  // namespace

GilHold::GilHold() {
  if (ending()) throw InterpreterEnding();
  const bool known = PyGILState_GetThisThreadState() != nullptr;
  StayOnThreadExit stay;
  state_ = PyGILState_Ensure();
  stay.disarm();
  if (!known) kept_thread_state.keep();
}

GilHold::~GilHold() { PyGILState_Release(state_); }

py::object call(py::handle function, const py::tuple& args) {
  StayOnThreadExit stay;
  PyObject* result = PyObject_Call(function.ptr(), args.ptr(), nullptr);
  stay.disarm();
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

Reference::~Reference() {
  if (ending()) return;  // the interpreter takes its objects with it
  if (PyGILState_Check()) {
    Py_DECREF(object_);
    return;
  }
  Dropped& list = *dropped_list;
  const std::lock_guard lock(list.mutex);
  list.objects.push_back(object_);
  if (!list.announced) list.announced = Py_AddPendingCall(drop_all, nullptr) == 0;
}

}  // namespace osthread::python
