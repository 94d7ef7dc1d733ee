"""Locks while holders, servers and connections fail: nobody is forgotten, and nobody holds what another holds."""

from pathlib import Path
from typing import Any

import pytest

from tests.locks.faults.invariants import check, check_whatever_the_server_forgot
from tests.locks.faults.nemesis import Fault, server_emptied
from tests.locks.faults.stores import KINDS, Kind, scene

ROUNDS = 5
FEW = 150


def shown(kind: Kind, *faults: Fault) -> Any:
    """Return the parameters of a test, by their names."""
    name = "-".join((kind.name, *(fault.__name__ for fault in faults)))
    return pytest.param(kind, *faults, id=name, marks=[pytest.mark.servers] if kind.server else [])


by_name = pytest.mark.parametrize("kind", [shown(kind) for kind in KINDS if kind.quick])
one_by_one = pytest.mark.parametrize(
    ("kind", "fault"), [shown(kind, fault) for kind in KINDS for fault in kind.faults]
)


@by_name
def test_after_a_fault_of_each_kind_nobody_is_forgotten_and_nobody_is_beside_another(
    kind: Kind, tmp_path: Path
) -> None:
    with scene(kind, tmp_path, kind.name) as place:
        for fault in kind.quick:
            fault(place)
            place.crew.wait_for_turns()
        place.crew.wait_for_leases(FEW)
        place.crew.dismiss()
        assert check(place.crew) > 2 * FEW


@pytest.mark.slow
@pytest.mark.timeout(900)
@one_by_one
def test_a_fault_again_and_again(kind: Kind, fault: Fault, tmp_path: Path) -> None:
    with scene(kind, tmp_path, f"{kind.name} {fault.__name__}") as place:
        for _ in range(ROUNDS):
            fault(place)
            place.crew.wait_for_turns()
        place.crew.wait_for_leases(kind.leases)
        place.crew.dismiss()
        assert check(place.crew) > 2 * kind.leases


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [shown(kind) for kind in KINDS if kind.counts_on])
def test_a_server_that_lost_its_disk_sends_no_fence_back(kind: Kind, tmp_path: Path) -> None:
    """It has forgotten who holds, so for a ttl there may be two of them; the guard tells them apart."""
    with scene(kind, tmp_path, kind.name) as place:
        for _ in range(ROUNDS):
            server_emptied(place)
            place.crew.wait_for_turns()
        place.crew.wait_for_leases(kind.leases)
        place.crew.dismiss()
        check_whatever_the_server_forgot(place.crew)
