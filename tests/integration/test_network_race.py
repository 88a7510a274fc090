"""Two engines that do the same at one moment: each ends with what it needs, and the machine as it was."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Registry
from stackfile.kernel.namespace import current, inside
from stackfile.model.container import NetworkRecord
from stackfile.network import sysctl
from stackfile.network.manager import NetworkManager
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore
from tests.integration.netlab import MemoryHolder, MemoryJournal, laboratory

pytestmark = pytest.mark.root
ROUNDS = 3
COMINGS = 40


class Engine(threading.Thread):
    """Makes networks, and waits before each for the others to be as far."""

    def __init__(self, number: int, directory: Path, netns: int, barrier: threading.Barrier) -> None:
        super().__init__()
        self.subnets: list[str] = []
        self.errors: list[BaseException] = []
        self._number, self._directory, self._netns, self._barrier = number, directory, netns, barrier

    def run(self) -> None:
        try:
            with inside(self._netns):
                self._create()
        except BaseException as error:
            self.errors.append(error)
            self._barrier.abort()

    def _create(self) -> None:
        state = StateStore(f"{self._directory}/state{self._number}.db", "id")
        run = RunStore(f"{self._directory}/run{self._number}.db", "boot")
        journal = MemoryJournal()
        manager = NetworkManager(
            prefix=f"r{self._number}x", table=f"race{self._number}", pool="10.212.0.0/16",
            supervisor=MemoryHolder(), journal=journal,
        )  # fmt: skip
        networks = Networks(state, run, manager, Registry(state), Bus(state.events))
        for index in range(ROUNDS):
            self._barrier.wait(20)
            record = networks.create(NetworkRecord(id="", name=f"n{index}"))
            self.subnets += record.subnets
        self._barrier.wait(20)
        # Those that were given up are settled too.
        assert {intent.kind for intent in journal.entries()} <= {"network.forwarding"}
        manager.teardown()
        manager.close()
        state.close()
        run.close()


def test_a_subnet_that_somebody_took_meanwhile_is_chosen_again(tmp_path: Path) -> None:
    with laboratory():
        barrier = threading.Barrier(2)
        engines = [Engine(number, tmp_path, current(), barrier) for number in range(2)]
        for engine in engines:
            engine.start()
        for engine in engines:
            engine.join(60)
        assert [engine.errors for engine in engines] == [[], []]
        found = [subnet for engine in engines for subnet in engine.subnets]
        assert len(found) == len(set(found)) == 2 * ROUNDS


class Comer(threading.Thread):
    """Makes a network, and takes it away, again and again; each time forwarding must be on while it is there."""

    def __init__(self, number: int, netns: int) -> None:
        super().__init__()
        self.errors: list[BaseException] = []
        self.missed = 0
        self._number, self._netns = number, netns

    def run(self) -> None:
        subnet = f"10.21{self._number}.0"
        record = NetworkRecord(
            id=f"{self._number}a" * 32, name="n", subnets=(f"{subnet}.0/24",), gateways=(f"{subnet}.1",)
        )
        try:
            with inside(self._netns):
                manager = NetworkManager(
                    prefix=f"c{self._number}x", table=f"comer{self._number}", pool=f"{subnet}.0/24",
                    supervisor=MemoryHolder(), journal=MemoryJournal(),
                )  # fmt: skip
                for _ in range(COMINGS):
                    made = manager.create(record)
                    self.missed += sysctl.read(sysctl.FORWARD) != "1"
                    manager.remove(made)
                manager.close()
        except BaseException as error:
            self.errors.append(error)


def test_forwarding_is_on_for_whoever_needs_it_and_off_at_the_end() -> None:
    with laboratory():
        sysctl.write(sysctl.FORWARD, "0")  # a new namespace has the machine's
        comers = [Comer(number, current()) for number in range(3)]
        for comer in comers:
            comer.start()
        for comer in comers:
            comer.join(120)
        assert [(comer.errors, comer.missed) for comer in comers] == [([], 0)] * 3
        assert sysctl.read(sysctl.FORWARD) == "0"
