#include "holdings.hpp"

#include <utility>

#include "sync_core.hpp"

namespace osthread {
namespace {

// Without a destructor: mingw-w64 would call that when the memory of thread_locals has been given back
// already.
constinit thread_local const std::shared_ptr<Holdings>* holdings_of_this_thread = nullptr;

}  // namespace

void Holdings::add(Link& link) noexcept {
  link.lock->retain();
  const std::lock_guard lock(mutex_);
  link.previous = nullptr;
  link.next = first_;
  if (first_) first_->previous = &link;
  first_ = &link;
  link.linked = true;
}

bool Holdings::unlink(Link& link) noexcept {
  if (!link.linked) return false;
  (link.previous ? link.previous->next : first_) = link.next;
  if (link.next) link.next->previous = link.previous;
  link.linked = false;
  return true;
}

void Holdings::remove(Link& link) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!unlink(link)) return;  // pass_on() has it
  }
  link.lock->Counted::release();
}

Holdings::Link* Holdings::take_first() noexcept {
  const std::lock_guard lock(mutex_);
  Link* const link = first_;
  if (link) unlink(*link);
  return link;
}

void Holdings::pass_on() noexcept {
  while (Link* link = take_first()) {
    LockCore* const lock = link->lock;
    lock->holder_ended(this);
    lock->Counted::release();
  }
}

std::shared_ptr<Holdings> holdings() noexcept {
  return holdings_of_this_thread ? *holdings_of_this_thread : nullptr;
}

void set_holdings(const std::shared_ptr<Holdings>* holdings) noexcept { holdings_of_this_thread = holdings; }

}  // namespace osthread
