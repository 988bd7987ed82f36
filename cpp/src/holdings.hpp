// The Locks that a thread of ours holds, so that its end can pass them on.
//
// Thread safety: everything may be called from any thread. A LockCore's mutex is taken before that of a
// Holdings, never after it.
#pragma once

#include <memory>
#include <mutex>

namespace osthread {

class LockCore;

class Holdings {
 public:
  // A place in the list: a LockCore has one.
  struct Link {
    LockCore* const lock;
    Link* previous = nullptr;
    Link* next = nullptr;
    bool linked = false;
  };

  // Takes a count of the lock, and gives it back.
  void add(Link& link) noexcept;
  void remove(Link& link) noexcept;
  // The thread has ended: those who wait get what it held.
  void pass_on() noexcept;

 private:
  Link* take_first() noexcept;
  bool unlink(Link& link) noexcept;

  std::mutex mutex_;
  Link* first_ = nullptr;
};

// Of the calling thread; null if it is not ours.
std::shared_ptr<Holdings> holdings() noexcept;
// Whoever sets it keeps what it points to until it is set to null, on the same thread.
void set_holdings(const std::shared_ptr<Holdings>* holdings) noexcept;

}  // namespace osthread
