"""Clients that hold shares of locks together: readers, writers and those between; the oracles are those of `locks`.

Instead of a sole holder, those who hold a lock at one instant never hold more of it than there is.
"""

from __future__ import annotations

from ringfence.locks.acquire import Granted, acquire
from ringfence.locks.stores import Claim, Shared
from ringfence.protocol import Effects
from ringfence.testing.network import Violation
from ringfence.testing.simulator import Process
from ringfence.testing.workloads.locks import TIMEOUT, TTL, Client, Locks

OF = 3


class Shares(Locks):
    """The scene of `locks`, whose locks have shares."""

    def whole(self, name: str) -> str:
        """All shares of a lock."""
        return Shared(name, OF, OF)

    def client(self, process: Process) -> Client:
        """A client that takes shares."""
        return ShareClient(self, process)

    def check_sole_holder(self, name: str) -> None:
        """What clients believe to hold, for more than drift allows, is no more than there is."""
        held = {
            claim.owner: claim.name.asked
            for client in self.clients.values()
            for claim in client.held(name)
            if client.believes(claim) > self.tolerance and isinstance(claim.name, Shared)
        }
        if sum(held.values()) > OF:
            shares = ", ".join(f"{asked} by {owner}" for owner, asked in held.items())
            raise Violation(f"of lock {name!r} are held {shares} at {self.simulation.clock():.4f} s")
        self.simulation.counts["together"] += len(held) > 1

    def check_fence(self, claim: Claim) -> None:
        """Those who hold together hear of it in any order; the store looks at their fences."""


class ShareClient(Client):
    """A client that takes one, two or all shares of a lock."""

    def acquiring(self, name: str, owner: str) -> Effects[Granted | None]:
        """How a share is taken."""
        share = Shared(name, self.random.choice((1, 1, 2, OF)), OF)
        return acquire(self.scene.store, share, owner, TTL, TIMEOUT, self.random.random)
