"""Logs: what the shim's writer writes, the reader reads, over rotation and while it is written."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.runtime.instructions import Logs
from stackfile.runtime.logfile import LogWriter
from stackfile.runtime.logs import STDERR, STDOUT, Chunk, LogFollower, Query, read_logs


class Source:
    """A pipe into a LogWriter."""

    def __init__(self, directory: Path, stream: int = STDOUT, max_size: int = 1 << 20, max_files: int = 3) -> None:
        self.logs = Logs(directory=str(directory), max_size=max_size, max_files=max_files)
        self.stream = stream
        self.read, self.write = os.pipe2(os.O_NONBLOCK)
        self.writer = LogWriter(self.logs, stream)

    def say(self, data: bytes) -> None:
        os.write(self.write, data)
        left = len(data)
        while left:
            moved = self.writer.take(self.read, 1 << 20)
            assert moved > 0
            left -= moved

    def respawn(self) -> None:
        """As after a kill of the shim: another writer on the same files."""
        self.writer.close()
        self.writer = LogWriter(self.logs, self.stream)

    def close(self) -> None:
        self.writer.close()
        os.close(self.read)
        os.close(self.write)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path)
    yield made
    made.close()


def texts(directory: Path, **query: object) -> list[bytes]:
    return [chunk.data for chunk in read_logs(str(directory), Query(**query))]  # type: ignore[arg-type]


def test_lines_are_whole_though_chunks_are_not(source: Source, tmp_path: Path) -> None:
    source.say(b"one\ntw")
    source.say(b"o\nthree")
    assert texts(tmp_path) == [b"one\n", b"two\n", b"three"]


def test_carriage_returns_do_not_part_lines(source: Source, tmp_path: Path) -> None:
    source.say(b"a\r\nb\rc\n")
    assert texts(tmp_path) == [b"a\r\n", b"b\rc\n"]


def test_streams_are_merged_by_time(source: Source, tmp_path: Path) -> None:
    errors = Source(tmp_path, STDERR)
    source.say(b"1\n")
    errors.say(b"2\n")
    source.say(b"3\n")
    chunks = list(read_logs(str(tmp_path), Query()))
    assert [(chunk.stream, chunk.data) for chunk in chunks] == [(1, b"1\n"), (2, b"2\n"), (1, b"3\n")]
    assert texts(tmp_path, stdout=False) == [b"2\n"]
    errors.close()


@pytest.mark.parametrize("tail", [0, 1, 3, 7, 100])
def test_tail_over_rotation(tmp_path: Path, tail: int) -> None:
    source = Source(tmp_path, max_size=40, max_files=10)
    lines = [b"line %03d\n" % number for number in range(20)]
    for line in lines:
        source.say(line)
    assert texts(tmp_path) == lines
    assert texts(tmp_path, tail=tail) == (lines[-tail:] if tail else [])
    source.close()


def test_rotation_keeps_the_given_number_of_files(tmp_path: Path) -> None:
    source = Source(tmp_path, max_size=10, max_files=2)
    for number in range(10):
        source.say(b"line %04d\n" % number)
    source.say(b"x")
    names = sorted(os.listdir(tmp_path))
    assert names == ["stdout.idx", "stdout.idx.1", "stdout.log", "stdout.log.1"]
    assert texts(tmp_path) == [b"line 0009\n", b"x"]
    source.close()


def test_since_and_until(source: Source, tmp_path: Path) -> None:
    for line in (b"a\n", b"b\n", b"c\n"):
        source.say(line)
    times = [chunk.time_ns for chunk in read_logs(str(tmp_path), Query())]
    assert texts(tmp_path, since_ns=times[1]) == [b"b\n", b"c\n"]
    assert texts(tmp_path, until_ns=times[1]) == [b"a\n", b"b\n"]
    assert texts(tmp_path, since_ns=times[1], tail=5) == [b"b\n", b"c\n"]


def test_since_keeps_the_begin_of_a_line(source: Source, tmp_path: Path) -> None:
    source.say(b"old\nbeg")
    source.say(b"un\n")
    last = list(read_logs(str(tmp_path), Query()))[-1]
    assert texts(tmp_path, since_ns=last.time_ns) == [b"begun\n"]


def test_bytes_without_a_record_are_read_and_indexed_later(source: Source, tmp_path: Path) -> None:
    source.say(b"one\n")
    source.writer.close()
    with open(tmp_path / "stdout.log", "ab") as file:
        file.write(b"two\n")
    assert texts(tmp_path) == [b"one\n", b"two\n"]
    source.respawn()
    source.say(b"three\n")
    assert texts(tmp_path) == [b"one\n", b"two\n", b"three\n"]
    assert texts(tmp_path, tail=2) == [b"two\n", b"three\n"]


def test_a_writer_goes_on_where_another_stopped_in_the_middle_of_a_record(source: Source, tmp_path: Path) -> None:
    source.say(b"one\n")
    with open(tmp_path / "stdout.idx", "ab") as file:
        file.write(b"half")
    source.respawn()
    source.say(b"two\n")
    assert texts(tmp_path) == [b"one\n", b"two\n"]


def test_a_log_that_cannot_be_written_costs_bytes_only(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the directory should be")
    source = Source(tmp_path / "logs")
    source.say(b"lost")
    assert source.writer.take(source.read, 100) == -1
    source.close()


@pytest.mark.root
def test_a_full_disk_costs_bytes_that_are_counted_and_told(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], check=True)
    source = Source(tmp_path / "logs")
    try:
        source.say(b"first\n")
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "filler").write_bytes(bytes(1 << 20))
        for number in range(30):
            source.say(b"%-999d\n" % number)
        while_full = texts(tmp_path / "logs")
        assert while_full[0] == b"first\n"
        assert any(line.startswith(b"[stackfile: ") for line in while_full)
        (tmp_path / "filler").unlink()
        source.say(b"last\n")
        found = texts(tmp_path / "logs")
        lost = [int(line.split()[1]) for line in found if line.startswith(b"[stackfile: ")]
        kept = os.stat(tmp_path / "logs" / "stdout.log").st_size
        assert sum(lost) + kept == len(b"first\nlast\n") + 30_000
        assert found[-1] == b"last\n"
        assert texts(tmp_path / "logs", tail=2) == found[-2:]
        assert found[-2].startswith(b"[stackfile: ")
    finally:
        source.close()
        subprocess.run(["umount", "-l", tmp_path], check=True)


async def collect(follower: LogFollower, into: list[Chunk], *, lines: bool = False) -> None:
    async for chunk in follower.lines() if lines else follower.chunks():
        into.append(chunk)  # noqa: PERF401 - one at a time, as they come


def test_history_and_follower_neither_lose_nor_double(source: Source, tmp_path: Path) -> None:
    async def run() -> list[bytes]:
        source.say(b"before\n")
        follower = LogFollower(str(tmp_path))
        source.say(b"after 1\n")
        seen = list(follower.history(Query()))
        task = asyncio.create_task(collect(follower, seen, lines=True))
        await asyncio.sleep(0.02)
        source.say(b"after 2\npart")
        await asyncio.sleep(0.02)
        follower.finish()
        await task
        follower.close()
        return [chunk.data for chunk in seen]

    assert asyncio.run(run()) == [b"before\n", b"after 1\n", b"after 2\n", b"part"]


def test_a_follower_sees_a_chunk_at_once(source: Source, tmp_path: Path) -> None:
    async def run() -> float:
        follower = LogFollower(str(tmp_path))
        seen: list[Chunk] = []
        task = asyncio.create_task(collect(follower, seen))
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        started = loop.time()
        source.say(b"x")
        while not seen:
            await asyncio.sleep(0.001)
        elapsed = loop.time() - started
        follower.finish()
        await task
        follower.close()
        return elapsed

    assert asyncio.run(run()) < 0.5


def test_a_follower_that_falls_behind_keeps_rotated_files(tmp_path: Path) -> None:
    source = Source(tmp_path, max_size=30, max_files=2)
    lines = [b"line %04d\n" % number for number in range(60)]

    async def run() -> list[bytes]:
        follower = LogFollower(str(tmp_path))
        for line in lines:
            source.say(line)
            await asyncio.sleep(0.001)  # the loop sees the change, nobody reads
        seen: list[Chunk] = []
        follower.finish()
        await collect(follower, seen, lines=True)
        follower.close()
        return [chunk.data for chunk in seen]

    assert asyncio.run(run()) == lines
    source.close()


def test_a_follower_that_stands_still_lets_go_of_what_is_rotated_away(tmp_path: Path) -> None:
    """The disk is freed but for a bounded part, and the reader hears of what it has missed, in its place."""
    source = Source(tmp_path, max_size=40, max_files=2)
    lines = [b"line %04d\n" % number for number in range(1200)]

    async def run() -> tuple[int, list[Chunk]]:
        source.say(b"begun")
        follower = LogFollower(str(tmp_path), from_start=True)
        for line in lines:
            source.say(line)
            await asyncio.sleep(0)  # the loop sees the change, nobody reads
        kept = sum(
            "/stdout.log" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)
        )
        seen: list[Chunk] = []
        follower.finish()
        await collect(follower, seen, lines=True)
        follower.close()
        return kept, seen

    kept, seen = asyncio.run(run())
    assert kept < 150
    (gap,) = (number for number, chunk in enumerate(seen) if chunk.missed)
    given = [chunk.data for chunk in seen]
    assert gap == 0
    assert given[gap + 1 :] == lines[gap + 1 - len(given) :]
    assert seen[gap].missed == sum(map(len, lines)) + 5 - sum(map(len, given))
    source.close()


@pytest.mark.parametrize("patient", [False, True])
def test_a_loop_that_stands_still_for_longer_than_files_are_kept(tmp_path: Path, patient: bool) -> None:
    """A follower is told of what nobody has opened in time; for one that is to miss nothing the files stay."""
    source = Source(tmp_path, max_size=40, max_files=2)
    lines = [b"begun\n", *(b"line %04d\n" % number for number in range(100))]

    async def run() -> list[Chunk]:
        source.say(lines[0])
        follower = LogFollower(str(tmp_path), from_start=True, too_much=(lambda _: None) if patient else None)
        for line in lines[1:]:
            source.say(line)
        follower.finish()
        seen = [chunk async for chunk in follower.chunks()]
        follower.close()
        return seen

    seen = asyncio.run(run())
    given = b"".join(chunk.data for chunk in seen)
    missed = sum(chunk.missed for chunk in seen)
    if patient:
        assert (given, missed) == (b"".join(lines), 0)
        source.say(b"the next is rotated again\n")
        source.say(b"and is short\n")
        assert (tmp_path / "stdout.log").stat().st_size < 40
        assert not list(tmp_path.glob("opened-*"))
    else:
        (gap,) = (number for number, chunk in enumerate(seen) if chunk.missed)
        assert seen[0].data == lines[0]
        assert b"".join(lines).endswith(b"".join(chunk.data for chunk in seen[gap:]))
        assert missed == pytest.approx(len(b"".join(lines)) - len(given), rel=0.25)
    source.close()


def test_a_rotation_under_way_hides_no_file(tmp_path: Path) -> None:
    """The writer stands still, or was killed, between two renames."""
    source = Source(tmp_path, max_size=40, max_files=3)

    async def run() -> list[bytes]:
        source.say(b"x" * 40)
        follower = LogFollower(str(tmp_path), from_start=True)
        chunks = follower.chunks()
        seen = [(await anext(chunks)).data]
        source.say(b"y" * 40)
        source.say(b"z")
        for name in ("stdout.log", "stdout.idx"):
            os.rename(tmp_path / f"{name}.1", tmp_path / f"{name}.2")
        follower.finish()
        seen += [chunk.data async for chunk in chunks]
        follower.close()
        return seen

    assert asyncio.run(run()) == [b"x" * 40, b"y" * 40, b"z"]
    source.close()


def test_a_killed_followers_marker_keeps_nothing(tmp_path: Path) -> None:
    source = Source(tmp_path, max_size=40, max_files=2)
    (tmp_path / "opened-1-0123").write_text("0")
    for number in range(50):
        source.say(b"line %04d\n" % number)
    assert (tmp_path / "stdout.log").stat().st_size <= 50
    assert not list(tmp_path.glob("opened-*"))
    source.close()


def test_what_is_given_up_while_it_is_read_is_counted(tmp_path: Path) -> None:
    """A reader that was told not to miss anything, until it stands still."""
    source = Source(tmp_path, max_size=40, max_files=2)
    lines = [b"line %04d\n" % number for number in range(1200)]
    told = 0

    def too_much(_: LogFollower) -> None:
        nonlocal told
        told += 1

    async def run() -> list[Chunk]:
        source.say(lines[0])
        follower = LogFollower(str(tmp_path), from_start=True, too_much=too_much)
        chunks = follower.chunks()
        seen = [await anext(chunks)]
        for line in lines[1:]:
            source.say(line)
            await asyncio.sleep(0)
        assert follower.overdue > 1
        assert follower.standing_still > 0
        follower.give_up()
        assert follower.overdue <= 1
        follower.finish()
        seen += [chunk async for chunk in chunks]
        follower.close()
        return seen

    seen = asyncio.run(run())
    assert told
    (gap,) = (chunk for chunk in seen if chunk.missed)
    assert seen[0].data == lines[0]
    assert gap.missed == sum(map(len, lines)) - sum(len(chunk.data) for chunk in seen)
    assert b"".join(lines).endswith(b"".join(chunk.data for chunk in seen[seen.index(gap) :]))
    source.close()


def test_followers_of_many_directories_share_one_instance(tmp_path: Path) -> None:
    async def run() -> int:
        followers = [LogFollower(str(tmp_path / str(number))) for number in range(200)]
        links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
        for follower in followers:
            follower.close()
            follower.close()
        return sum("inotify" in link for link in links)

    assert asyncio.run(run()) == 1


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")
