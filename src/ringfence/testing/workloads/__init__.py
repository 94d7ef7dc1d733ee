"""What the processes of a simulation do, one workload a file, each with its oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ringfence.testing.simulator import Simulation


class Scene(Protocol):
    """A workload set up in one simulation; its oracles watch while the simulation runs."""

    def check(self) -> None:
        """What must hold when all is over.

        Raises:
            Violation: it does not.
        """
        ...


WORKLOADS: Mapping[str, Callable[[Simulation], Scene]] = {}
