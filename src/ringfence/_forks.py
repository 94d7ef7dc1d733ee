"""What a forked child must not go on with: leases, connections and threads are the parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What is begun anew in a forked child."""

    def forked(self) -> None:
        """Have nothing of the parent's any more."""


def tell_of_forks(thing: Forked) -> None:
    """Have `thing.forked()` called in each forked child, for as long as it lives."""
    _things.add(thing)


_things: weakref.WeakSet[Forked] = weakref.WeakSet()


def _forked() -> None:
    for thing in list(_things):
        thing.forked()


os.register_at_fork(after_in_child=_forked)
