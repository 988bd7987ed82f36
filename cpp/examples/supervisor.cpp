// Actors with a supervisor: each takes messages from its mailbox, and one that ends with an error is started
// anew.
#include <iostream>
#include <map>
#include <osthread/osthread.hpp>

namespace {

constexpr const char* kActor = R"(
  local osthread = require "osthread"
  local answers = ...
  for message in osthread.receive do
    assert(type(message) == "number", "I only know numbers")
    answers:send(message * message)
  end
)";

}  // namespace

int main() {
  osthread::Channel answers;
  osthread::Channel ends;
  std::map<std::string, osthread::OSThread> actors;
  const auto start = [&](const std::string& name) {
    actors[name] = osthread::OSThread(kActor, {answers}, {.name = name, .notify = ends});
  };
  start("Ada");
  start("Bob");
  actors["Ada"].send(3);
  actors["Bob"].send("three");

  const auto name = ends.receive().object()->get("name").as<std::string>();
  try {
    (void)actors[name].result();
  } catch (const osthread::LuaError& error) {
    std::cout << name << " has ended: " << error.message() << "; started anew\n";
  }
  start(name);
  actors["Bob"].send(5);

  std::cout << answers.receive().as<double>() + answers.receive().as<double>() << "\n";  // 9 + 25
  for (auto& [_, actor] : actors) actor.mailbox().close();                               // its loop ends
  for (auto& [_, actor] : actors) (void)actor.result();
}
