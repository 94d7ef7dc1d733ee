"""Real processes, killed or stopped at every crash point, over databases of PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.testing.crash_points import POINTS, Place, kill, stop
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import PostgreSQL
from ringfence.testing.servers.fixtures import PrivateServers

from .points import at_a_point_of_the_coordinator, at_a_point_of_the_recoverer, cases
from .stores import MariaStores, PostgresStores, Stores
from .world import MONEY, Act, World, coordinate, left_behind, recover

pytestmark = pytest.mark.servers

NOWHERE = Place("nothing", "before")
TELLING = {
    "first-prepare-sent",
    "second-prepared",
    "voted",
    "decided",
    "between-commits",
    "voted-for-marker",
    "marker-sent",
    "marker-decided",
    "one-phase-sent",
    "won",
}
BOTH = pytest.mark.parametrize("stores", ["postgresql", "mariadb"], indirect=True)


def marked(process: str) -> Iterator[object]:
    """The cases: the most telling ones, and then slow ones."""
    for server in ("postgresql", "mariadb"):
        for act in (kill, stop):
            for case in cases(process):
                name, decisions, shape = case
                telling = name in TELLING and decisions != "log" and shape in ("two", "one phase")
                fast = telling and (server == "postgresql" or act is kill)
                marks = [] if fast else [pytest.mark.slow]
                yield pytest.param(
                    server, act, *case, marks=marks, id="-".join((server, act.__name__, *case))
                )


def some_slow(*values: object) -> list[object]:
    """Cases for the slow tests."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


CASES = ("stores", "act", "name", "decisions", "shape")


@pytest.mark.parametrize(CASES, list(marked("coordinator")), indirect=["stores"])
def test_a_coordinator_at(
    stores: Stores, act: Act, name: str, decisions: str, shape: str, tmp_path: Path
) -> None:
    at_a_point_of_the_coordinator(World(tmp_path, stores, decisions, shape), name, act)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(CASES, list(marked("recoverer")), indirect=["stores"])
def test_a_recoverer_at(
    stores: Stores, act: Act, name: str, decisions: str, shape: str, committed: bool, tmp_path: Path
) -> None:
    at_a_point_of_the_recoverer(World(tmp_path, stores, decisions, shape), name, act, committed)


@pytest.mark.parametrize(
    "name", ["voted", "between-commits", *some_slow("first-statement", "second-prepared", "decided")]
)
def test_a_server_is_killed_at(name: str, private_server: PrivateServers, tmp_path: Path) -> None:
    server = private_server(PostgreSQL())
    world = World(tmp_path, PostgresStores(server), "log", "two")

    def kill_and_start() -> None:
        server.kill()
        server.start()

    done = at_a_point_of_the_coordinator(world, name, stop, kill_and_start)
    assert done == (name not in ("first-statement",))


@pytest.mark.parametrize("name", ["first-statement", "voted", "decided", "first-commit-sent", "marker-sent"])
def test_connections_break_at(name: str, postgresql: PostgreSQL, tmp_path: Path) -> None:
    with Proxy(postgresql.port) as proxy:
        stores = PostgresStores(postgresql, proxy.port)
        world = World(tmp_path, stores, "marker" if "marker" in name else "row", "two")
        at_a_point_of_the_coordinator(world, name, stop, proxy.reset)


@pytest.mark.parametrize("number", [*range(4, 12), *some_slow(1, 2, 3, *range(12, 40))])
@pytest.mark.parametrize("decisions", ["row", "marker"])
def test_a_reply_is_lost(number: int, decisions: str, postgresql: PostgreSQL, tmp_path: Path) -> None:
    with Proxy(postgresql.port) as proxy:
        world = World(tmp_path, PostgresStores(postgresql, proxy.port), decisions, "two")
        proxy.lose_reply(number)
        with closing(world.process(coordinate, NOWHERE, kill)) as child:
            child.wait()
            proxy.lose_reply(0)
            world.check(child.said)


@BOTH
@pytest.mark.parametrize(("committed", "hand"), [(True, "ROLLBACK"), (False, "COMMIT")])
def test_resolved_by_hand_in_the_middle_of_a_recovery(
    stores: PostgresStores | MariaStores, committed: bool, hand: str, tmp_path: Path
) -> None:
    """Point 26: what somebody did to one branch is found and told, and the other one follows the decision."""
    world = World(tmp_path, stores, "row", "two")
    left_behind(world, committed)
    stores.left_alone()
    with closing(world.process(recover, POINTS["won"].place, stop)) as child:
        assert child.wait() == "stopped"
        stores.by_hand(world.name, hand)
        assert child.go_on() == "ended"
    check_heuristic(world, committed)


@pytest.mark.parametrize("stores", ["postgresql"], indirect=True)
def test_resolved_by_hand_before_the_coordinator_does(stores: PostgresStores, tmp_path: Path) -> None:
    """In MariaDB nobody can, as long as the session lives that has prepared it."""
    world = World(tmp_path, stores, "row", "two")
    with closing(world.process(coordinate, POINTS["decided"].place, stop)) as child:
        assert child.wait() == "stopped"
        stores.by_hand(world.name, "ROLLBACK")
        assert child.go_on() == "ended"
        assert child.said == b"(!"
    check_heuristic(world, True)


def check_heuristic(world: World, committed: bool) -> None:
    """One branch did not follow the decision, and that is kept until somebody forgets it; the other one did."""
    with world.manager() as tm:
        again = tm.recover()
        assert not again.resolved
        assert not again.unresolved
        [heuristic] = tm.heuristics()
        assert tm.forget(heuristic.gid)
        assert tm.heuristics() == []
    changed = [name for name, balance in world.balances().items() if balance != MONEY]
    others = [name for name in world.adds if name != heuristic.branch]
    assert changed == (others if committed else [heuristic.branch])
