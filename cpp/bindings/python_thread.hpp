// A Python Thread object's inside.
#pragma once

#include "host.hpp"
#include "python_value.hpp"

namespace osthread::python {

struct Thread {
  host::Core core;
  Encoding encoding;
};

// The thread behind a Python object; null if it is none.
host::Core thread_core(py::handle object);

}  // namespace osthread::python
