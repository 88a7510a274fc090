"""Kill points of `up` and `down`: `python -m tests.kill [--seed N] [--points N] [--victim V] [--command C]`, as root.

For each victim and command the state-changing calls are recorded once; then the command runs again for each point (or
for `--points` of them, chosen by `--seed`) while the victim is ended there. After each the next `up` must converge,
`plan` and `drift` find nothing, and `down -v` leave what it leaves when nobody is ended. With `--engines` several
engines share the points. A point that is not reached, since calls are counted by thread and which thread makes one is
not always the same, comes again later, three times in all. SIGTERM and ctrl-C end the run after the points under way.
Exit code 1 if a point failed.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import signal
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace

from tests.kill import kit
from tests.kill.points import DOWN, UP, VICTIMS, Kills, Scenario

_SCENARIOS = {scenario.name: scenario for scenario in (UP, DOWN)}
_TRIES = 3


@dataclass(frozen=True)
class _Work:
    """A point to try for the `tries`th time."""

    scenario: Scenario
    point: kit.Point
    tries: int = 1


@dataclass
class _Run:
    """Points that wait, and what came of those that were tried: points by victim and result."""

    waiting: queue.SimpleQueue[_Work] = field(default_factory=queue.SimpleQueue)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self, *_: object) -> None:
        self.stopped.set()


def every(victims: list[str], scenarios: list[Scenario]) -> list[_Work]:
    """Every point of the victims in the scenarios."""
    found: list[_Work] = []
    with closing(Kills()) as kills:
        for victim in victims:
            for scenario in scenarios:
                points = kills.points(victim, scenario)
                print(f"{victim} during {scenario.name}: {len(points)} points", flush=True)
                found += [_Work(scenario, point) for point in points]
    return found


def work(run: _Run) -> None:
    """Take points of the run until there is none, with an engine of one's own."""
    with closing(Kills()) as kills:
        while not run.stopped.is_set():
            try:
                each = run.waiting.get_nowait()
            except queue.Empty:
                return
            outcome = kills.end_at(each.point, each.scenario)
            word = "FAILED" if outcome.wrong else "ok" if outcome.reached else "not reached"
            line = json.dumps({"result": word, "command": each.scenario.name, **vars(each.point)})
            print("\n  ".join([line, *outcome.wrong]), flush=True)
            if outcome.reached or outcome.wrong or each.tries == _TRIES:
                run.results[each.point.victim, word] += 1
            else:
                run.waiting.put(replace(each, tries=each.tries + 1))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description="Kill points of up and down.")
    parser.add_argument("--seed", type=int, default=1, help="of the choice and order of points")
    parser.add_argument("--points", type=int, help="how many (default: all)")
    parser.add_argument("--victim", choices=VICTIMS, action="append", help="repeatable (default: all)")
    parser.add_argument("--command", choices=tuple(_SCENARIOS), action="append", help="repeatable (default: all)")
    parser.add_argument("--engines", type=int, default=1, help="how many share the points (1)")
    given = parser.parse_args()
    scenarios = [_SCENARIOS[name] for name in given.command or _SCENARIOS]
    found = every(given.victim or list(VICTIMS), scenarios)
    run = _Run()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, run.stop)
    for each in random.Random(given.seed).sample(found, min(given.points or len(found), len(found))):
        run.waiting.put(each)
    threads = [threading.Thread(target=work, args=(run,)) for _ in range(given.engines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (victim, word), count in sorted(run.results.items()):
        print(f"{victim}: {count} {word}")
    failed = sum(count for (_, word), count in run.results.items() if word == "FAILED")
    print(f"{run.results.total()} of {len(found)} points, {failed} failed")
    return 1 if failed or run.stopped.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
