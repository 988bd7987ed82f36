// What the module is made of, one bind function for each class.
#pragma once

#include <pybind11/pybind11.h>

#include "host.hpp"
#include "python_value.hpp"

namespace osthread::python {

void bind_async_wait(py::module_& module);
void bind_channel(py::module_& module);
void bind_function(py::module_& module);
void bind_thread(py::module_& module);
void bind_pool(py::module_& module);
void bind_shared_buffer(py::module_& module);
void bind_shared_table(py::module_& module);
void bind_state(py::module_& module);
void bind_sync(py::module_& module);
void bind_process(py::module_& module);

// Of bind_options.cpp: Python has checked the names and types before.
ThreadOptions thread_options(const py::dict& options, const Encoding& encoding);
// `output`: what the state's output goes to, if it is a Python callable.
StateOptions state_options(const py::dict& options, const Encoding& encoding,
                           std::weak_ptr<Reference>* output);
std::chrono::nanoseconds duration(double seconds);
Encoding encoding_of(const py::dict& options);

// Gives an exception that nobody asked for to sys.unraisablehook.
void write_unraisable(const py::object& exception, const py::object& where);

// Python's signal handlers, from a wait: throws what one of them raised.
void look_at_signals();

// Ctrl-C while this (main) thread runs Lua: our C handler stands before Python's. It asks the system whether
// it does, which takes longer than a call of host::call_looked_after(): that does it if it lasts.
void stand_before_sigint();
// If what a Python function called by Lua has raised is a Ctrl-C: it ends the Lua code, too, whatever that
// catches. Not in an OSThread, where none arrives.
void note_interrupt(py::error_already_set& error);
// What a handler raised while Lua ran on this thread; null if nothing. Takes it.
py::object take_signal_error();

}  // namespace osthread::python
