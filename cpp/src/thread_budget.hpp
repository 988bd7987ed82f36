// How many threads Lua code may have alive: those that it starts itself, and those that they start.
//
// Invariant: `taken` counts the places that are held, of this budget and of all below it, and is never more
// than `most`.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace osthread {

class ThreadBudget {
 public:
  ThreadBudget(std::size_t most, std::shared_ptr<ThreadBudget> outer)
      : most_(most), outer_(std::move(outer)) {}

  // A place, which is given back when the token goes; null: all are taken, here or further out.
  static std::shared_ptr<void> take(std::shared_ptr<ThreadBudget> budget);

 private:
  struct Place;
  bool take_one() noexcept;

  const std::size_t most_;
  const std::shared_ptr<ThreadBudget> outer_;
  std::atomic<std::size_t> taken_{0};
};

}  // namespace osthread
