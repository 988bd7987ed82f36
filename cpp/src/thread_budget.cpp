#include "thread_budget.hpp"

namespace osthread {

struct ThreadBudget::Place {
  explicit Place(std::shared_ptr<ThreadBudget> of) noexcept : budget(std::move(of)) {}
  ~Place() {
    for (ThreadBudget* each = budget.get(); each; each = each->outer_.get())
      each->taken_.fetch_sub(1, std::memory_order_relaxed);
  }
  std::shared_ptr<ThreadBudget> budget;
};

// Counts alone: nothing else is read because of them.
bool ThreadBudget::take_one() noexcept {
  std::size_t taken = taken_.load(std::memory_order_relaxed);
  while (taken < most_)
    if (taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
  return false;
}

std::shared_ptr<void> ThreadBudget::take(std::shared_ptr<ThreadBudget> budget) {
  auto place = std::make_shared<Place>(nullptr);
  for (ThreadBudget* each = budget.get(); each; each = each->outer_.get()) {
    if (each->take_one()) continue;
    for (ThreadBudget* taken = budget.get(); taken != each; taken = taken->outer_.get())
      taken->taken_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  place->budget = std::move(budget);
  return place;
}

}  // namespace osthread
