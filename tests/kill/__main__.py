"""Kill points of `up` and `down`: `python -m tests.kill [--seed N] [--points N] [--victim V] [--command C]`, as root.

For each victim and command the state-changing calls are recorded once; then the command runs again for each point (or
for `--points` of them, chosen by `--seed`) while the victim is ended there. After each the next `up` must converge,
`plan` and `drift` find nothing, and `down -v` leave what it leaves when nobody is ended. With `--engines` several
engines share the points. Exit code 1 if one did not.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import threading
from contextlib import closing

from tests.kill import kit
from tests.kill.points import DOWN, UP, VICTIMS, Kills, Scenario

_SCENARIOS = {scenario.name: scenario for scenario in (UP, DOWN)}
_Work = tuple[Scenario, kit.Point]


def every(victims: list[str], scenarios: list[Scenario]) -> list[_Work]:
    """Every point of the victims in the scenarios."""
    found: list[_Work] = []
    with closing(Kills()) as kills:
        for victim in victims:
            for scenario in scenarios:
                points = kills.points(victim, scenario)
                print(f"{victim} during {scenario.name}: {len(points)} points", flush=True)
                found += [(scenario, point) for point in points]
    return found


def run(work: queue.SimpleQueue[_Work], results: list[tuple[bool, bool]]) -> None:
    """Take points from `work` until there is none; adds (reached, failed) for each."""
    with closing(Kills()) as kills:
        while not work.empty():
            try:
                scenario, point = work.get_nowait()
            except queue.Empty:
                return
            outcome = kills.end_at(point, scenario)
            word = "FAILED" if outcome.wrong else "ok" if outcome.reached else "not reached"
            line = json.dumps({"result": word, "command": scenario.name, **vars(point)})
            print("\n  ".join([line, *outcome.wrong]), flush=True)
            results.append((outcome.reached, bool(outcome.wrong)))


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
    work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
    for each in random.Random(given.seed).sample(found, min(given.points or len(found), len(found))):
        work.put(each)
    count = work.qsize()
    results: list[tuple[bool, bool]] = []
    threads = [threading.Thread(target=run, args=(work, results)) for _ in range(given.engines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = count - sum(not wrong for _, wrong in results)
    print(f"{count} of {len(found)} points, {sum(hit for hit, _ in results)} reached, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
