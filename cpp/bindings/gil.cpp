#include "gil.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "host.hpp"

namespace osthread::python {
namespace {

std::atomic<bool> interpreter_ending{false};

struct Dropped {
  std::mutex mutex;
  std::vector<PyObject*> objects;
  bool announced = false;
  std::atomic<bool> any{false};  // a hint for those who only look
};

// Never destroyed: threads may drop references while the process ends. Made when the module is loaded: what a
// function makes when it is first called stays locked in a fork's child, if a thread was making it.
Dropped* dropped_list = new Dropped;

// Before Python 3.14 the interpreter ends a foreign thread that asks for the GIL during finalization, by
// pthread_exit(), which would unwind our frames, drop their objects without the GIL and end in
// std::terminate. This stops the thread where it is instead, until the process has gone.
class StayOnThreadExit {
 public:
  StayOnThreadExit() = default;
  StayOnThreadExit(const StayOnThreadExit&) = delete;
  StayOnThreadExit& operator=(const StayOnThreadExit&) = delete;
  ~StayOnThreadExit() noexcept(false) {
    // What it is armed around throws no C++ exception: left early, the thread is being ended.
    while (armed_) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  void disarm() noexcept { armed_ = false; }

 private:
  bool armed_ = true;
};

// Around whatever may ask for the GIL, as all does that may run Python code. A function of its own, which may
// be unwound: in one that is noexcept the thread's end would be the process's before StayOnThreadExit comes
// to its turn.
template <class F>
[[gnu::noinline]] auto staying(F ask) {
  StayOnThreadExit stay;
  if constexpr (std::is_void_v<decltype(ask())>) {
    ask();
    stay.disarm();
  } else {
    const auto answer = ask();
    stay.disarm();
    return answer;
  }
}

void drop(PyObject* object) {
  staying([object] { Py_DECREF(object); });  // which may run a finalizer
}

int drop_all(void*) {
  std::vector<PyObject*> objects;
  {
    const std::lock_guard lock(dropped_list->mutex);
    objects.swap(dropped_list->objects);
    dropped_list->announced = false;
    dropped_list->any.store(false, std::memory_order_relaxed);
  }
  for (PyObject* object : objects) drop(object);  // outside the lock: it may run anything
  return 0;
}

}  // namespace

void drop_dead_references() noexcept {
  // Relaxed: whoever has waited for the other thread's end sees what it left.
  if (dropped_list->any.load(std::memory_order_relaxed)) drop_all(nullptr);
}

void note_ending() noexcept { interpreter_ending.store(true, std::memory_order_seq_cst); }
void forget_parents() noexcept { dropped_list = new Dropped; }
bool ending() noexcept { return interpreter_ending.load(std::memory_order_seq_cst); }

namespace {

thread_local bool kept_thread_state = false;

PyGILState_STATE ensure_gil() {
  return staying([] { return PyGILState_Ensure(); });
}

void release_gil(PyGILState_STATE before) {
  // It may end a thread state, and with it what threading.local holds.
  staying([before] { PyGILState_Release(before); });
}

}  // namespace

GilRelease::~GilRelease() {
  staying([this] { PyEval_RestoreThread(state_); });
}

void keep_thread_state() noexcept {
  if (std::exchange(kept_thread_state, true)) return;
  PyGILState_Ensure();  // counts once more, so that our release does not delete it
}

void drop_thread_state() noexcept {
  if (!kept_thread_state || ending()) return;
  kept_thread_state = false;
  const PyGILState_STATE before = ensure_gil();
  release_gil(PyGILState_LOCKED);  // the one that kept it
  release_gil(before);
}

GilHold::GilHold() {
  if (ending()) throw InterpreterEnding();
  const bool known = PyGILState_GetThisThreadState() != nullptr;
  state_ = ensure_gil();
  if (!known && host::on_own_thread()) keep_thread_state();
}

GilHold::~GilHold() { release_gil(state_); }

py::object call(py::handle function, const py::tuple& args, py::handle named_args) {
  PyObject* const result =
      staying([&] { return PyObject_Call(function.ptr(), args.ptr(), named_args.ptr()); });
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

PyObject* call_api(const std::function<PyObject*()>& function) {
  return staying([&] { return function(); });
}

bool warn(PyObject* category, const std::string& text) noexcept {
  // It may be shown by the program's own function.
  return staying([&] { return PyErr_WarnEx(category, text.c_str(), 1) == 0; });
}

void write_raised(py::handle where) noexcept {
  staying([where] { PyErr_WriteUnraisable(where.ptr()); });
}

void discard(py::error_already_set& error, py::handle where) noexcept {
  error.restore();
  write_raised(where);
}

void discard(py::error_already_set& error, const char* where) noexcept {
  PyObject* const text = PyUnicode_FromString(where);
  if (!text) PyErr_Clear();  // then the hook is told the error alone
  discard(error, text);
  Py_XDECREF(text);
}

Reference::~Reference() {
  if (ending()) return;  // the interpreter takes its objects with it
  if (PyGILState_Check()) {
    drop(object_);
    return;
  }
  Dropped& list = *dropped_list;
  const std::lock_guard lock(list.mutex);
  list.objects.push_back(object_);
  list.any.store(true, std::memory_order_relaxed);
  if (!list.announced) list.announced = Py_AddPendingCall(drop_all, nullptr) == 0;
}

Reference called(const std::function<PyObject*()>& function) {
  PyObject* const result = call_api(function);
  if (!result) throw py::error_already_set();
  return Reference(py::reinterpret_steal<py::object>(result));
}

}  // namespace osthread::python
