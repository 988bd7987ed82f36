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
  // Of one that Lua code or C++ has started: a handle of it; an owner, if Python has been given one.
  Value adopted{};

  Thread(host::Core c, Encoding e) : core(std::move(c)), encoding(std::move(e)) {}
  explicit Thread(Value handle)
      : core(host::thread_of(handle)), encoding("utf-8"), adopted(std::move(handle)) {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() {
    if (adopted.is_nil())
      host::forget(*core);
    else if (host::is_owner(adopted))
      host::note_dropped(adopted);
  }
  int traverse(visitproc visit, void* arg) const;
};

// A thread's handle on its way to Python.
struct ThreadValue {
  Value value;
};

// The thread behind a Python object; null if it is none.
const Thread* thread_in(py::handle object);

}  // namespace osthread::python
