// A SharedTable from C++.
#include "osthread/shared_table.hpp"

#include <thread>

#include "support.hpp"

using osthread::ConversionError;
using osthread::SharedTable;
using osthread::Value;

TEST_CASE("a shared table keeps what it is given, in the order it came") {
  SharedTable table;
  table.set("b", 1);
  table.set(2, "two");
  table.set(true, nullptr);
  CHECK(table.get("b")->as<int>() == 1);
  CHECK(table.get(2)->as<std::string>() == "two");
  CHECK(table.get(true)->is_nil());
  CHECK_FALSE(table.get("missing"));
  CHECK(table.size() == 3);
  CHECK(table.items().at(1).first.as<int>() == 2);
  CHECK(table.erase(2));
  CHECK_FALSE(table.erase(2));
  CHECK(table.take("b")->as<int>() == 1);
  CHECK(table.get_or_set("b", 5).as<int>() == 5);
  CHECK(table.get_or_set("b", 6).as<int>() == 5);
  CHECK_THROWS_AS(table.set(nullptr, 1), ConversionError);
  CHECK_THROWS_AS(table.set(Value::array({}), 1), ConversionError);
  CHECK_THROWS_AS(SharedTable(Value(5)), ConversionError);
  table.clear();
  CHECK(table.size() == 0);
}

TEST_CASE("tables put in are tables of their own, and a snapshot is a plain one") {
  const Value list = Value::array({1, 2});
  SharedTable table(Value::map({{"list", list}, {"again", list}}));
  SharedTable nested = table.get("list")->as<SharedTable>();
  CHECK(nested == table.get("again")->as<SharedTable>());
  nested.set(3, "three");
  const Value snapshot = table.snapshot();
  CHECK(snapshot.get("again").elements().at(2).as<std::string>() == "three");
  CHECK(list.elements().size() == 2);
}

TEST_CASE("no addition is lost between C++ and Lua threads") {
  SharedTable table;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 5000; ++n) table.add("n", 1);
      });
    osthread::OSThread lua("local s = ... for i = 1, 5000 do s:add('n', 1) end", {table});
    (void)lua.result();
  }
  CHECK(table.get("n")->as<int>() == 15'000);
  CHECK(table.compare_and_set("n", 15'000, 1));
  CHECK_FALSE(table.compare_and_set("n", 15'000, 2));
  CHECK(table.compare_and_set("n", 1, nullptr));
  CHECK_FALSE(table.get("n"));
}

TEST_CASE("what a shared table holds goes with it") {
  struct Token {};
  const auto token = std::make_shared<Token>();
  {
    SharedTable table;
    table.set("f", osthread::function([token](double) {}));
    table.set("t", Value::map({{"f", osthread::function([token](double) {})}}));
    CHECK(token.use_count() == 3);
    table.set("f", 1);
    CHECK(token.use_count() == 2);
  }
  CHECK(token.use_count() == 1);
}
