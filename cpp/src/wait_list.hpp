// Threads that wait for the same thing, in the order they came: told one by one, or all at once, that it may
// have happened. It costs those who make it happen nothing while nobody waits.
//
//   waiting                                              telling
//     WaitList::Entry entry(waiter);
//     list.join(entry);
//     while (!(used = condition()))                         make the condition true;
//       if (!list.again(entry)) sleep on the waiter;        list.tell_one();
//     list.leave(entry, used);
//
// Invariant: no telling is lost. Whoever joins, or waits again, looks at the condition after that, and who
// changes the condition looks for somebody to tell after that; the pair of fences lets at least one of them
// see the other. Who was told and does not use it passes it on as it leaves; so does who was told twice, the
// second time between again() and the look that succeeded, as that may have used what the first was about.
//
// Thread safety: everything may be called from any thread. An Entry belongs to the thread that waits, and may
// go once it has left; its Waiter is touched under the list's lock only (but for its address). (A wait that
// no thread sleeps in has an Entry of its own: notifier.hpp.)
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "asymmetric_fence.hpp"
#include "waiter.hpp"

namespace osthread {

class WaitList {
 public:
  class Entry {
   public:
    explicit Entry(Waiter& waiter) noexcept : waiter_(&waiter) {}
    virtual ~Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    Entry() noexcept = default;  // of one that is told in another way

   private:
    friend class WaitList;
    // Called under the list's lock, by whatever thread: it takes short locks at most, and never the GIL.
    virtual Waiter::HalfWake wake() noexcept { return waiter_->begin_wake(); }

    Waiter* waiter_ = nullptr;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    std::uint64_t order_ = 0;
    bool told_ = false;
    bool told_before_ = false;  // at the last again()
  };

  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  void join(Entry& entry) noexcept;
  // After a look in vain. It keeps its place. Whether it was told since it joined, or waited again: then it
  // looks once more before it sleeps.
  bool again(Entry& entry) noexcept;
  void leave(Entry& entry, bool used) noexcept;

  void tell_one() noexcept {
    light_fence();
    if (untold_.load(std::memory_order_relaxed) != 0) tell_first();
  }
  void tell(std::size_t most) noexcept {
    light_fence();
    while (most-- > 0 && untold_.load(std::memory_order_relaxed) != 0) tell_first();
  }
  void tell_all() noexcept;

  int size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  void tell_first() noexcept;
  // The first that was not told, under mutex_; what is left to do after it.
  Waiter::HalfWake tell_locked() noexcept;

  std::atomic<int> untold_{0};  // written under mutex_
  std::atomic<int> size_{0};    // the same
  std::mutex mutex_;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  // All before it were told, so that telling one costs the same however many have been and have not come to
  // it yet.
  Entry* untold_from_ = nullptr;
  std::uint64_t joined_ = 0;
};

}  // namespace osthread
