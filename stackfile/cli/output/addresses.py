"""Addresses of resources: `service.web[1]` and, for several replicas together, `service.web[1..2]`."""

from __future__ import annotations

from collections.abc import Iterable


def split(address: str) -> tuple[str, int]:
    """(`service.web`, 1) for `service.web[1]`; index 0 where there is none."""
    base, bracket, rest = address.partition("[")
    index = rest.removesuffix("]")
    return (base, int(index)) if bracket and index.isdigit() else (address, 0)


def join(base: str, indices: Iterable[int]) -> str:
    """`service.web[1..2]`, `service.web[1,3]`; a lone first replica needs no index."""
    numbers = sorted({index for index in indices if index > 0})
    if not numbers or numbers == [1]:
        return base
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return base + "[" + ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs) + "]"


def indices(text: str) -> set[int]:
    """Replica indices of `1..3` or `1,3`, as a job's events write them; none for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("..")
        if first.isdigit() and (not last or last.isdigit()):
            found.update(range(int(first), int(last or first) + 1))
    return found


def kind(address: str) -> str:
    return address.partition(".")[0]


def name(address: str) -> str:
    return split(address)[0].partition(".")[2]


def count(number: int, singular: str) -> str:
    """`1 container`, `5 containers`."""
    return f"{number} {singular}" if number == 1 else f"{number} {singular}s"
