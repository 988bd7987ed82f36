// The errors of the core as Python exceptions. With the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <vector>

#include "osthread/error.hpp"
#include "python_value.hpp"

namespace osthread::python {

// Tells something more of it, once (since Python 3.11).
void add_note(const py::object& exception, const std::string& text);

// The Python exception of a C++ one. `frames`: the Lua stack, noted on one that has none itself.
py::object exception_object(const std::exception_ptr& exception, const std::vector<Frame>& frames,
                            const Encoding& encoding);

// Makes it the error that is set; and throws that.
void set_object(const py::object& exception) noexcept;
[[noreturn]] void raise_object(const py::object& exception);

// Raises what exception_object() makes.
[[noreturn]] void raise(const std::exception_ptr& exception, const std::vector<Frame>& frames,
                        const Encoding& encoding);

// Makes it the error that a function of the interpreter's own kind returns with; also what pybind11 throws.
// What making it raises comes in its place.
void set_error(const std::exception_ptr& exception) noexcept;

py::object frames_to_python(const std::vector<Frame>& frames);

// Makes C++ errors that leave a bound function Python exceptions.
void register_translator();

}  // namespace osthread::python
