// The GIL as Lua threads meet it.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace osthread::python {

namespace py = pybind11;

// The interpreter is going away: nothing of ours touches the GIL from here on.
void note_ending() noexcept;
bool ending() noexcept;
// In a fork's child: what other threads may have held is made anew.
void forget_parents() noexcept;

class InterpreterEnding : public std::runtime_error {
 public:
  InterpreterEnding()
      : std::runtime_error("the Python interpreter is ending: its functions can't be called any more") {}
};

// Holds the GIL, on any thread. Throws InterpreterEnding. An OSThread keeps the thread state it gets at first
// until drop_thread_state() at its end, as threading.local and context variables hang on it.
class GilHold {
 public:
  GilHold();
  ~GilHold();
  GilHold(const GilHold&) = delete;
  GilHold& operator=(const GilHold&) = delete;

 private:
  PyGILState_STATE state_;
};

// The same for another thread of the library's: making one at each ring of a bell takes longer than most
// answers, and in 3.11 a fork just then hangs in the interpreter's own part.
void keep_thread_state() noexcept;
void drop_thread_state() noexcept;

// Drops the references that have died on threads without the GIL, which this one has: nobody shall have to
// wait for it who knows that they have died.
void drop_dead_references() noexcept;

// Lets others have the GIL; also as a pybind11 call_guard.
class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  ~GilRelease();
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

// PyObject_Call in a thread that the interpreter may end: for whatever may run Python code, as the objects of
// the frames that call it could not be dropped then.
py::object call(py::handle function, const py::tuple& args = py::tuple(), py::handle named_args = {});
// So for one of the C API that may, as PyObject_Str does. Null: its error is set.
PyObject* call_api(const std::function<PyObject*()>& function);

// PyErr_WarnEx for the caller's line; whether that went well: else its error is set, as Python's are.
bool warn(PyObject* category, const std::string& text) noexcept;

// What the program's sys.unraisablehook is told: the error that is set, or this one.
void write_raised(py::handle where) noexcept;
void discard(py::error_already_set& error, py::handle where) noexcept;
void discard(py::error_already_set& error, const char* where) noexcept;

// A reference that may die on a thread without the GIL: it is then dropped later, by one that has it. Or
// where the interpreter may end the thread, as code that its death runs is kept from unwinding.
class Reference {
 public:
  explicit Reference(py::object object) : object_(object.release().ptr()) {}
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  ~Reference();
  py::handle get() const noexcept { return object_; }

 private:
  PyObject* object_;
};

// What call_api() gives; throws its error.
Reference called(const std::function<PyObject*()>& function);

}  // namespace osthread::python
