"""What the processes of a simulation do, one workload a file, each with its oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ringfence.testing.simulator import Simulation
from ringfence.testing.workloads.cohorts import Cohorts
from ringfence.testing.workloads.locks import Locks
from ringfence.testing.workloads.rebalance import Cluster
from ringfence.testing.workloads.recovery import Recovery
from ringfence.testing.workloads.shares import Shares
from ringfence.testing.workloads.takeover import TakeOver
from ringfence.testing.workloads.two_phase import TwoPhase


class Scene(Protocol):
    """A workload set up in one simulation; its oracles watch while the simulation runs."""

    def check(self) -> None:
        """What must hold when all is over.

        Raises:
            Violation: it does not.
        """
        ...


WORKLOADS: Mapping[str, Callable[[Simulation], Scene]] = {
    "locks": Locks,
    "cohorts": Cohorts,
    "shares": Shares,
    "two_phase": TwoPhase,
    "recovery": Recovery,
    "takeover": TakeOver,
    "rebalance": Cluster,
}
