"""Which crash points there are for which transactions, and what is tried at each: the same over all stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from ringfence.testing.crash_points import POINTS, Point, kill

from .world import Act, World, coordinate, left_behind, recover

MANY = 9  # transactions; so many that a segment of the log is full, and is packed
DECISIONS = ("row", "log", "marker")
SHAPES = ("two", "three", "reader", "one phase")

Case = tuple[str, str, str]
"""The name of a point, a kind of decision store, and a shape of transaction."""


def cases(process: str, shapes: tuple[str, ...] = SHAPES) -> Iterator[Case]:
    """All points of a process, with each kind of decision store and shape of transaction that comes to them."""
    for name, point in POINTS.items():
        for decisions in DECISIONS:
            for shape in shapes:
                if point.process == process and fits(point, decisions, shape):
                    yield name, decisions, shape


def fits(point: Point, decisions: str, shape: str) -> bool:
    """Does a transaction of that shape come to that point?"""
    if point.only == "one phase" or shape == "one phase":
        return shape == "one phase" and point.only in ("one phase", "") and point.number in (1, 2, 17)
    if point.only == "no marker":
        return decisions != "marker"
    return point.only in ("", decisions)


def at_a_point_of_the_coordinator(
    world: World, name: str, act: Act, meanwhile: Callable[[], object] | None = None
) -> int:
    """A coordinator is killed, or stopped and taken over from; return how many transactions were committed."""
    only_added_to = world.checkpoint()
    place = POINTS[name].place
    times = MANY if place.operation in ("rename", "remove") or place.of.endswith(".new") else 1
    with closing(world.process(partial(coordinate, times=times), place, act)) as child:
        if act is kill:
            assert child.wait() == "killed"
        else:
            assert child.wait() == "stopped"
            (meanwhile or world.take_over)()
            assert child.go_on() == "ended"
        done = world.check(child.said)
    only_added_to()
    return done


def at_a_point_of_the_recoverer(world: World, name: str, act: Act, committed: bool) -> None:
    """A recoverer is killed, or stopped while another is at work."""
    said = left_behind(world, committed)
    only_added_to = world.checkpoint()
    with closing(world.process(recover, POINTS[name].place, act)) as child:
        if act is kill:
            assert child.wait() == "killed"
        else:
            assert child.wait() == "stopped"
            world.take_over()
            assert child.go_on() == "ended"
    assert world.check(said) == committed
    only_added_to()
