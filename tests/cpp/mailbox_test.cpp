// Messages to a thread, channels that end with it, and who is told of its end.
#include "support.hpp"

using osthread::Channel;
using osthread::ChannelClosed;
using osthread::OSThread;

TEST_CASE("a thread receives what it is sent, and its mailbox ends with it") {
  OSThread thread("local r = require('osthread').receive return r() + r()");
  thread.send(40);
  thread.mailbox().send(2);
  CHECK(osthread::test::as_number(thread.result().at(0)) == 42);
  CHECK(thread.mailbox().closed());
  CHECK_THROWS_AS(thread.send(1), ChannelClosed);
}

TEST_CASE("its channels are closed, and who asked is told, when a join returns") {
  for (int round = 0; round < 100; ++round) {
    Channel output;
    Channel ends(1);
    OSThread first("", {}, {.name = "first", .closes = {output}, .notify = ends});
    OSThread second("error('x')", {}, {.closes = {output}, .notify = ends});
    first.join();
    second.join();
    CHECK(output.closed());
    const osthread::Value a = ends.receive();
    const osthread::Value b = ends.receive();
    const bool in_order = a.object()->get("name").as<std::string>() == "first";
    CHECK((in_order ? a : b).object()->get("status").as<std::string>() == "finished");
    CHECK((in_order ? b : a).object()->get("status").as<std::string>() == "failed");
    CHECK_FALSE(ends.try_receive());
  }
}

TEST_CASE("a thread that can't be made closes nothing") {
  Channel output;
  CHECK_THROWS_AS(OSThread("", {}, {.affinity = {100'000}, .closes = {output}}), std::system_error);
  CHECK_FALSE(output.closed());
  { OSThread suspended("", {}, {.suspended = true, .closes = {output}}); }
  CHECK(output.closed());
}
