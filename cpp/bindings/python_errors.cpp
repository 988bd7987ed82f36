#include "python_errors.hpp"

#include <pybind11/stl.h>

#include <new>
#include <system_error>

#include "osthread/native_thread.hpp"
#include "osthread/sync.hpp"
#include "python_function.hpp"
#include "python_types.hpp"

namespace osthread::python {
namespace {

// Our exceptions are made by Python code.
py::object made(const char* name, const py::tuple& args, py::handle details = {}) {
  return call(types().errors.attr(name), args, details);
}
py::object made(const char* name, const std::string& text) {
  return made(name, py::make_tuple(readable(text)));
}

py::object lua_error(const char* name, const LuaError& error, const Encoding& encoding,
                     const py::dict& extra = {}) {
  py::object value = py::none();
  if (error.value()) {
    try {
      value = to_python(*error.value(), encoding);
    } catch (const std::exception&) {
      value = py::none();  // it has no form in Python, or none any more; the message says what it was
    }
  }
  py::object message = encoding ? text_to_python(error.message(), encoding) : readable(error.message());
  if (!py::isinstance<py::str>(message)) message = readable(error.message());
  const py::dict details(py::arg("traceback") = readable(error.traceback()),
                         py::arg("frames") = frames_to_python(error.frames()), py::arg("value") = value,
                         py::arg("thread") = readable(error.thread()), **extra);
  py::object exception = made(name, py::make_tuple(message), details);
  if (const auto& context = error.context())
    exception.attr("__context__") = exception_object(
        [&] {
          if (const auto* timeout = dynamic_cast<const LuaTimeout*>(context.get()))
            return std::make_exception_ptr(*timeout);
          if (const auto* stopped = dynamic_cast<const Stopped*>(context.get()))
            return std::make_exception_ptr(*stopped);
          return std::make_exception_ptr(*context);
        }(),
        {}, encoding);
  return exception;
}

const char* stage_name(StopStage stage) {
  switch (stage) {
    case StopStage::request:
      return "request";
    case StopStage::interrupt:
      return "interrupt";
    case StopStage::kill:
      return "kill";
  }
  return "interrupt";
}

template <class Stop>
py::object stop_error(const char* name, const Stop& error, const Encoding& encoding) {
  return lua_error(name, error, encoding, py::dict(py::arg("stage") = stage_name(error.stage())));
}

// Where in Lua an exception came through that is none of Lua's.
py::object noted(py::object exception, const std::vector<Frame>& frames) {
  if (!frames.empty()) add_note(exception, "Lua " + format_traceback(frames));
  return exception;
}

py::object builtin(PyObject* type, const std::string& text) {
  return call(type, py::make_tuple(readable(text)));
}

}  // namespace

void add_note(const py::object& exception, const std::string& text) {
  try {
    if (!py::hasattr(exception, "add_note")) return;
    const py::str note = readable(text);
    const py::object notes = py::getattr(exception, "__notes__", py::list());
    if (!notes.contains(note)) call(exception.attr("add_note"), py::make_tuple(note));
  } catch (py::error_already_set& error) {
    // A class of the program's that makes something else of notes: its exception matters more.
    if (!error.matches(PyExc_Exception)) throw;
  }
}

py::object frames_to_python(const std::vector<Frame>& frames) {
  py::tuple list(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i)
    list[i] =
        made("Frame", py::make_tuple(readable(frames[i].source), frames[i].line, readable(frames[i].name)));
  return list;
}

py::object exception_object(const std::exception_ptr& exception, const std::vector<Frame>& frames,
                            const Encoding& encoding) {
  try {
    std::rethrow_exception(exception);
  } catch (const PythonError& error) {
    return noted(py::reinterpret_borrow<py::object>(error.exception().get()), frames);
  } catch (const Abandoned& error) {
    return stop_error("Abandoned", error, encoding);
  } catch (const Killed& error) {
    return stop_error("Killed", error, encoding);
  } catch (const Stopped& error) {
    return stop_error("Stopped", error, encoding);
  } catch (const LuaTimeout& error) {
    return stop_error("LuaTimeout", error, encoding);
  } catch (const LuaMemoryError& error) {
    return lua_error("LuaMemoryError", error, encoding);
  } catch (const LuaSyntaxError& error) {
    return lua_error("LuaSyntaxError", error, encoding,
                     py::dict(py::arg("chunk") = readable(error.chunk()), py::arg("line") = error.line()));
  } catch (const LuaError& error) {
    return lua_error("LuaError", error, encoding);
  } catch (const ConversionError& error) {
    return noted(
        made(error.overflow() ? "ConversionOverflowError" : "ConversionError",
             py::make_tuple(readable(error.what())), py::dict(py::arg("path") = readable(error.path()))),
        frames);
  } catch (const ChannelClosed& error) {
    return noted(made("ChannelClosed", error.what()), frames);
  } catch (const TaskCancelled& error) {
    return made("CancelledError", error.what());
  } catch (const BrokenPool& error) {
    py::object broken = made("BrokenLuaPool", error.what());
    broken.attr("__cause__") = exception_object(error.cause(), {}, encoding);
    return broken;
  } catch (const BrokenBarrier& error) {
    return made("BrokenBarrierError", error.what());
  } catch (const ThreadCreationError& error) {
    return builtin(PyExc_RuntimeError, error.what());
  } catch (const std::system_error& error) {
    return call(PyExc_OSError, py::make_tuple(error.code().value(), std::string(error.what())));
  } catch (const std::invalid_argument& error) {
    return noted(builtin(PyExc_ValueError, error.what()), frames);
  } catch (const std::out_of_range& error) {
    return noted(builtin(PyExc_IndexError, error.what()), frames);
  } catch (const std::bad_alloc&) {
    return builtin(PyExc_MemoryError, "out of memory");
  } catch (const std::exception& error) {
    return builtin(PyExc_RuntimeError, error.what());
  }
}

void set_object(const py::object& exception) noexcept {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
}

void raise_object(const py::object& exception) {
  set_object(exception);
  throw py::error_already_set();
}

void raise(const std::exception_ptr& exception, const std::vector<Frame>& frames, const Encoding& encoding) {
  raise_object(exception_object(exception, frames, encoding));
}

namespace {

void set_error_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::exception&) {
    set_object(exception_object(exception, {}, Encoding("utf-8")));
  }
}

}  // namespace

void set_error(const std::exception_ptr& exception) noexcept {
  try {
    set_error_of(exception);
  } catch (py::error_already_set& error) {
    error.restore();  // our exceptions are made by Python code: a signal's handler may raise, the stack end
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

void register_translator() {
  py::register_local_exception_translator([](std::exception_ptr exception) {
    if (exception) set_error(exception);
  });
}

}  // namespace osthread::python
