"""Real processes, killed or stopped at every crash point, over SQLite files.

A process that is stopped is taken over from, and goes on then: as a zombie (points 21 and 22), with a prepare that
comes after the scan (20), or beside another recovery (19).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ringfence.testing.crash_points import POINTS, Place, Point, kill, stop

from .world import World, coordinate, recover

MANY = 9  # transactions; so many that a segment of the log is full, and is packed
DECISIONS = ("sqlite", "log", "marker")
SHAPES = ("two", "three", "reader", "one phase")
ELSEWHERE = {
    8: "test_a_disk_that_fails",
    19: "test_a_recoverer_at",
    20: "test_a_coordinator_at",
    21: "test_a_coordinator_at",
    22: "test_a_coordinator_at",
}
LATER = {23, 24, 25}  # sagas; try, confirm, cancel; the outbox
BY_HAND = {26}  # the suite of participants: what somebody ended by hand is found and told


def fits(point: Point, decisions: str, shape: str) -> bool:
    """Does a transaction of that shape come to that point?"""
    if shape == "one phase":
        return point.only == "one phase" or point.place.operation in ("begin", "execute")
    kinds = {"": True, "row": decisions != "marker", "one phase": False}
    return kinds.get(point.only, point.only == decisions)


def cases(process: str) -> Iterator[object]:
    """All points of a process, with each kind of decision store and shape of transaction."""
    for name, point in POINTS.items():
        for decisions in DECISIONS:
            for shape in SHAPES:
                if point.process == process and fits(point, decisions, shape):
                    first = shape == "two" or point.only == "one phase"
                    marks = [] if first else [pytest.mark.slow]
                    yield pytest.param(name, decisions, shape, marks=marks)


@pytest.mark.parametrize("act", [kill, stop])
@pytest.mark.parametrize(("name", "decisions", "shape"), list(cases("coordinator")))
def test_a_coordinator_at(
    name: str, decisions: str, shape: str, act: Callable[[], object], folder: Path
) -> None:
    world = World(folder, decisions, shape)
    only_added_to = world.checkpoint()
    place = POINTS[name].place
    times = MANY if place.of not in ("", ".log") or place.operation in ("rename", "remove") else 1
    with closing(world.process(partial(coordinate, times=times), (place, act))) as child:
        state = child.wait()
        assert state == ("killed" if act is kill else "stopped")
        if act is stop:
            world.take_over()
            assert child.go_on() == "ended"
        world.check(child.said)
    only_added_to()


def left_behind(world: World, committed: bool) -> bytes:
    """Kill a coordinator when its branches are prepared: before the decision, or after it."""
    before, after = (
        ("voted-for-marker", "marker-decided") if world.decisions == "marker" else ("voted", "decided")
    )
    armed = POINTS[after if committed else before].place, kill
    with closing(world.process(coordinate, armed)) as child:
        assert child.wait() == "killed"
        return child.said


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("act", [kill, stop])
@pytest.mark.parametrize(("name", "decisions", "shape"), list(cases("recoverer")))
def test_a_recoverer_at(
    name: str, decisions: str, shape: str, act: Callable[[], object], committed: bool, folder: Path
) -> None:
    world = World(folder, decisions, shape)
    said = left_behind(world, committed)
    only_added_to = world.checkpoint()
    with closing(world.process(recover, (POINTS[name].place, act))) as child:
        assert child.wait() == ("killed" if act is kill else "stopped")
        if act is stop:
            world.take_over()
            assert child.go_on() == "ended"
    assert world.check(said) == committed
    only_added_to()


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("place", [Place("write", "before", 2, ".log"), Place("sync", "before", 2, ".log")])
def test_a_disk_that_fails(place: Place, number: int, folder: Path) -> None:
    world = World(folder, "log", "two")
    with closing(world.process(partial(coordinate, times=3), (place, partial(fail, number)))) as child:
        assert child.wait() == "ended"
        assert child.said == b"(?)(?)(?)" or child.said == b"(?)(-)(-)", "this process decides nothing more"
        world.check(child.said)


def test_every_point_is_somewhere() -> None:
    numbers = {point.number for point in POINTS.values()}
    assert numbers | set(ELSEWHERE) | BY_HAND | LATER == set(range(1, 27))
    assert all(name in globals() for name in ELSEWHERE.values())
