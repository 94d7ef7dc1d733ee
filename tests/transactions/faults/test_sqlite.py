"""Real processes, killed or stopped at every crash point, over SQLite files.

A process that is stopped is taken over from, and goes on then: as a zombie (points 21 and 22), with a prepare that
comes after the scan (20), or beside another recovery (19).
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ringfence.testing.crash_points import POINTS, Place, kill, stop

from .points import at_a_point_of_the_coordinator, at_a_point_of_the_recoverer, cases
from .stores import SqliteStores
from .world import Act, World, coordinate

ELSEWHERE = {
    8: "test_a_disk_that_fails",
    **dict.fromkeys((19, 20, 21, 22), "what stops here is taken over from"),
}
BY_HAND = {26}  # in test_servers
LATER = {23, 24, 25}  # sagas; try, confirm, cancel; the outbox


def marked(process: str) -> list[object]:
    """The cases; the larger transactions are slow."""
    return [
        pytest.param(*case, marks=[] if case[2] in ("two", "one phase") else [pytest.mark.slow])
        for case in cases(process)
    ]


@pytest.mark.parametrize("act", [kill, stop])
@pytest.mark.parametrize(("name", "decisions", "shape"), marked("coordinator"))
def test_a_coordinator_at(name: str, decisions: str, shape: str, act: Act, folder: Path) -> None:
    at_a_point_of_the_coordinator(World(folder, SqliteStores(folder), decisions, shape), name, act)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("act", [kill, stop])
@pytest.mark.parametrize(("name", "decisions", "shape"), marked("recoverer"))
def test_a_recoverer_at(
    name: str, decisions: str, shape: str, act: Act, committed: bool, folder: Path
) -> None:
    at_a_point_of_the_recoverer(World(folder, SqliteStores(folder), decisions, shape), name, act, committed)


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("place", [Place("write", "before", 2, ".log"), Place("sync", "before", 2, ".log")])
def test_a_disk_that_fails(place: Place, number: int, folder: Path) -> None:
    world = World(folder, SqliteStores(folder), "log", "two")
    with closing(world.process(partial(coordinate, times=3), place, partial(fail, number))) as child:
        assert child.wait() == "ended"
        assert b"+" not in child.said, "this process decides nothing more"
        world.check(child.said)


def test_every_point_is_somewhere() -> None:
    numbers = {point.number for point in POINTS.values()}
    assert numbers | set(ELSEWHERE) | BY_HAND | LATER == set(range(1, 27))
