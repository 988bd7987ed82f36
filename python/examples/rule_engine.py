"""A rule engine that survives hostile rules: each call of a rule has limits, and a state of its own.

::

    python rule_engine.py --events 10000

Every rule is applied to every event. The first error of a rule disables it: what else is queued for it is cancelled,
and the report names it. All others come out in full. One result more shows that the pool is as good as new.

This contains mistakes and ordinary malice; strangers' code belongs into a process of its own as well.
"""

import argparse
import random
import time
from concurrent.futures import Future
from typing import Any

import osthread

# Each is a function of an event that returns what to do about it, or nothing.
RULES = {
    "large": "function(e) if e.amount > 900 then return 'ask for a second signature' end end",
    "abroad": "function(e) if e.country ~= 'DE' and e.amount > 500 then return 'call the customer' end end",
    "loops": "function(e) while true do end end",
    "catches": "function(e) while true do pcall(function() while true do end end) end end",
    "hoards": "function(e) local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end end",
    "raises": "function(e) return e.customer.name end",
    "escapes": "function(e) return os.execute('echo I am out') end",
    # Does its harm in silence: but nobody shares the state whose library it wrecks.
    "wrecks": "function(e) string.format = nil math.floor = nil end",
    "round": "function(e) if math.floor(e.amount) % 100 == 0 then return ('%d looks made up'):format(e.amount) end end",
}


def make_up(count: int) -> list[dict[str, Any]]:
    """Payments."""
    chance = random.Random(1)
    return [
        {"id": i, "amount": round(1000 * chance.random(), 2), "country": chance.choice(("DE", "FR", "PL"))}
        for i in range(count)
    ]


def collect(futures: list[Future[Any]]) -> list[Any]:
    """The results of a rule's calls; the first error cancels those that are left."""
    try:
        return [future.result() for future in futures]
    except osthread.LuaError:
        for future in futures:
            future.cancel()
        raise


def main() -> None:
    """Apply all rules, report what they found and which were disabled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--time-limit", type=float, default=0.1, help="seconds, for each call")
    parser.add_argument("--memory-limit", type=int, default=4, help="MiB, for each call")
    args = parser.parse_args()

    events = make_up(args.events)
    began = time.perf_counter()
    with osthread.LuaPool(
        libraries="safe",
        time_limit=args.time_limit,
        memory_limit=args.memory_limit << 20,
        tasks_per_state=1,  # what a rule leaves behind, in globals or in the libraries, no other one sees
    ) as pool:
        calls = {}
        for name, source in RULES.items():
            rule = osthread.compile(source, name)
            calls[name] = [pool.submit(rule, event) for event in events]
        for name, futures in calls.items():
            try:
                actions = collect(futures)
            except osthread.LuaError as error:
                print(f"{name:8} disabled: {type(error).__name__}: {error.message}")
            else:
                found = [f"{e['id']}: {action}" for e, action in zip(events, actions, strict=True) if action]
                print(f"{name:8} {len(actions)} events, {len(found)} found", *found[:1], sep="; ")
        print("and now?", pool.submit("return ('%d'):format(6 * 7)").result())
        states = pool.statistics().states
    print(f"{states} states in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
