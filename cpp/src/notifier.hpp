// One thread for the whole process that tells the host of waits that no thread sleeps in, those of tasks in
// event loops: which of them may be over; and that does what other threads of the library's can't wait for.
// It starts with the first such wait, or errand, and sleeps while there is none.
//
// Invariant: a wait that is told is in the queue until the host was told of it, or the wait has gone. Who
// tells it only puts it there, and never waits for the host, whose report may take as long as the GIL does.
//
// Thread safety: everything may be called from any thread. After a fork the child gets a notifier of its own;
// entries of the parent's are never told there, and not to be destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>

#include "wait_list.hpp"
#include "waiter.hpp"

namespace osthread {

class Notifier {
 public:
  // What the host calls a wait by.
  using Key = std::uint64_t;
  // Called on the notifier's thread. Those waits may have gone meanwhile, or wait on.
  using Report = void (*)(std::span<const Key> keys) noexcept;

  static void set_report(Report report) noexcept;
  // Has it called on the notifier's thread, soon, where it may take its time; what was to be called before
  // and has not been is forgotten. ThreadCreationError.
  static void call_soon(void (*errand)() noexcept);

  class Entry final : public WaitList::Entry {
   public:
    explicit Entry(Key key);               // ThreadCreationError, if it is the first
    ~Entry() { notifier_.remove(*this); }  // once it has left its list

   private:
    friend class Notifier;
    Waiter::HalfWake wake() noexcept override {
      notifier_.add(*this);
      return {};
    }

    Notifier& notifier_;
    const Key key_;
    // In the queue, under its lock.
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    bool queued_ = false;
  };

 private:
  static Notifier& instance();
  static int main(void* self);
  void run() noexcept;

  void start();
  void add(Entry& entry) noexcept;
  void remove(Entry& entry) noexcept;
  void unlink(Entry& entry) noexcept;
  std::span<const Key> take(std::span<Key> keys) noexcept;

  std::mutex mutex_;
  Waiter changed_;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  std::atomic<void (*)() noexcept> errand_{nullptr};
  bool started_ = false;
};

}  // namespace osthread
