// A Python Thread object's inside.
#pragma once

#include "host.hpp"
#include "python_value.hpp"

namespace osthread::python {

struct Thread {
  host::Core core;
  Encoding encoding;
  bool error_fetched = false;
  bool results_fetched = false;
  bool at_rest = false;  // suspended: nobody but its owner touches its state

  Thread(host::Core c, Encoding e) : core(std::move(c)), encoding(std::move(e)) {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { host::forget(*core); }
  int traverse(visitproc visit, void* arg) const;
};

// The thread behind a Python object; null if it is none.
host::Core thread_core(py::handle object);

}  // namespace osthread::python
