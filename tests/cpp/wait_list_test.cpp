// Who is told, in which order, and that no telling is lost.
#include "../../cpp/src/wait_list.hpp"

#include <doctest/doctest.h>

using osthread::Waiter;
using osthread::WaitList;

namespace {

// One that waits, and counts how often it was told.
struct Sleeper {
  Waiter waiter;
  WaitList::Entry entry{waiter};
  Waiter::Ticket told_until = waiter.ticket();

  bool was_told() {
    const Waiter::Ticket before = told_until;
    told_until = waiter.ticket();
    return told_until != before;
  }
};

}  // namespace

TEST_CASE("a wait list tells those who wait in the order they came, and each once until it waits again") {
  WaitList list;
  Sleeper a, b, c;
  for (Sleeper* sleeper : {&a, &b, &c}) list.join(sleeper->entry);
  list.tell_one();
  CHECK(a.was_told());
  list.tell_one();
  CHECK_FALSE(a.was_told());
  CHECK(b.was_told());
  CHECK(list.again(a.entry));  // it keeps its place
  CHECK_FALSE(list.again(a.entry));
  list.tell_one();
  CHECK(a.was_told());
  CHECK_FALSE(c.was_told());
  list.tell_all();
  CHECK(c.was_told());
  CHECK_FALSE(a.was_told());
  for (Sleeper* sleeper : {&a, &b, &c}) list.leave(sleeper->entry, true);
  CHECK(list.size() == 0);
}

TEST_CASE("who leaves a wait list passes on what it was told and has not used") {
  WaitList list;
  Sleeper a, b;
  for (const bool used : {false, true}) {
    CAPTURE(used);
    list.join(a.entry);
    list.join(b.entry);
    list.tell_one();
    list.leave(a.entry, used);
    CHECK(b.was_told() == !used);
    list.leave(b.entry, true);
  }
  list.join(a.entry);
  list.join(b.entry);
  list.leave(a.entry, false);  // it was not told
  CHECK_FALSE(b.was_told());
  list.leave(b.entry, false);
}

TEST_CASE("who was told twice and has used one passes the other on") {
  WaitList list;
  Sleeper a, b;
  list.join(a.entry);
  list.join(b.entry);
  list.tell_one();  // after its look, before it waits again
  CHECK(list.again(a.entry));
  list.tell_one();  // before the look that finds what the first was about
  list.leave(a.entry, true);
  CHECK(b.was_told());
  list.leave(b.entry, true);

  list.join(a.entry);
  list.join(b.entry);
  list.tell_one();
  CHECK(list.again(a.entry));
  CHECK_FALSE(list.again(a.entry));  // it has looked in vain: somebody else has used it
  list.tell_one();
  list.leave(a.entry, true);
  CHECK_FALSE(b.was_told());
  list.leave(b.entry, true);
}
