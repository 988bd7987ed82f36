"""Actors with a supervisor: each takes messages from its mailbox, and one that ends with an error is started anew."""

from osthread import Channel, LuaError, OSThread

ACTOR = """
local osthread = require "osthread"
local answers = ...
local count = 0
for message in osthread.receive do
  assert(type(message) == "number", "I only know numbers")
  count = count + 1
  answers:send { osthread.self().name, message * message, count }
end
"""


def start(name: str, answers: Channel, ends: Channel) -> OSThread:
    """An actor of which the supervisor hears when it ends."""
    return OSThread(ACTOR, answers, name=name, notify=ends)


def main() -> None:
    """Send messages, one of them wrong, and keep two actors alive."""
    answers, ends = Channel(), Channel()
    actors = {name: start(name, answers, ends) for name in ("Ada", "Bob")}
    actors["Ada"].send(3)
    actors["Bob"].send("three")
    actors["Ada"].send(4)

    ended = ends.receive()
    try:
        ended.result()
    except LuaError as error:
        print(f"{ended.name} has ended: {error.message.split(': ')[-1]}; started anew")
    actors[ended.name] = start(ended.name, answers, ends)
    actors["Bob"].send(5)

    for name, square, count in sorted(answers.receive() for _ in range(3)):
        print(f"{name}'s message {count}: {square}")
    for actor in actors.values():
        actor.mailbox.close()  # its loop ends
        actor.result()


main()
