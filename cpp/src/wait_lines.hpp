// One wait in line at several WaitLists, each as wait_list.hpp has it. `Entry` is WaitList's, or one of those
// made from it.
//
// Thread safety: it belongs to the one that waits. The lists outlive it.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "wait_list.hpp"

namespace osthread {

template <class Entry>
class WaitLines {
 public:
  WaitLines() = default;
  ~WaitLines() { leave(std::nullopt); }
  WaitLines(const WaitLines&) = delete;
  WaitLines& operator=(const WaitLines&) = delete;

  // std::bad_alloc, and what making an Entry of `arguments` throws.
  template <class... Arguments>
  void join(WaitList& list, Arguments&&... arguments) {
    Place& place = places_.emplace_back(list, std::forward<Arguments>(arguments)...);
    list.join(place.entry);
  }

  // Whether any of them told it.
  bool again() noexcept {
    bool told = false;
    for (Place& place : places_) told |= place.list.again(place.entry);
    return told;
  }

  // `used`: the line whose turn it has taken, by the order they were joined. Once: then it is in none.
  void leave(std::optional<std::size_t> used) noexcept {
    for (std::size_t i = 0; i < places_.size(); ++i) places_[i].list.leave(places_[i].entry, used == i);
    places_.clear();
  }

 private:
  struct Place {
    template <class... Arguments>
    explicit Place(WaitList& l, Arguments&&... arguments)
        : list(l), entry(std::forward<Arguments>(arguments)...) {}
    WaitList& list;
    Entry entry;
  };

  std::deque<Place> places_;
};

}  // namespace osthread
