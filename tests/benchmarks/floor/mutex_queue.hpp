// What one writes without this library to hand numbers from thread to thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>

namespace benchmark {

class MutexQueue {
 public:
  explicit MutexQueue(std::size_t capacity) : capacity_(capacity) {}

  void send(double number) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [this] { return numbers_.size() < capacity_; });
    numbers_.push_back(number);
    lock.unlock();
    has_number_.notify_one();
  }

  double receive() {
    std::unique_lock lock(mutex_);
    has_number_.wait(lock, [this] { return !numbers_.empty(); });
    const double number = numbers_.front();
    numbers_.pop_front();
    lock.unlock();
    has_room_.notify_one();
    return number;
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable has_number_;
  std::condition_variable has_room_;
  std::deque<double> numbers_;
};

}  // namespace benchmark
