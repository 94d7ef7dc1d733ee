"""What is in doubt: transactions that are prepared somewhere, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from ringfence.cli.txn.options import Stores
from ringfence.errors import RingfenceError
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A transaction with prepared branches.

    Attributes:
        gid: the transaction.
        prepared: the participants that have one.
        decision: what stands in the decision store, if anything.
        newest: its coordinator has not been started again since, and may be at work.
    """

    gid: str
    prepared: list[str]
    decision: Outcome | None
    newest: bool

    @property
    def next(self) -> str:
        """What becomes of it."""
        if self.newest:
            return "left to its coordinator, unless that is taken over"
        return "recovery commits it" if self.decision is Outcome.COMMITTED else "recovery rolls it back"


def in_doubt(stores: Stores, prefix: str = "") -> tuple[list[InDoubt], Mapping[str, RingfenceError]]:
    """Return the transactions in doubt whose gids begin with `prefix`, and the participants that cannot be asked."""
    found, failed = prepared(stores, prefix)
    newest = cache(stores.decisions.epoch)
    return [_known(stores, gid, names, newest) for gid, names in sorted(found.items())], failed


def prepared(stores: Stores, prefix: str = "") -> tuple[dict[str, list[str]], Mapping[str, RingfenceError]]:
    """Return the names of the participants that have each gid prepared, and why others cannot be asked."""
    found: dict[str, list[str]] = {}
    failed: dict[str, RingfenceError] = {}
    for name, participant in stores.participants.items():
        try:
            for gid in participant.recover(prefix):
                found.setdefault(gid, []).append(name)
        except RingfenceError as error:
            failed[name] = error
    return found, failed


def _known(stores: Stores, gid: str, names: list[str], newest: Callable[[str], int]) -> InDoubt:
    parsed = Gid.parse(gid)
    return InDoubt(gid, names, stores.decisions.get(gid), parsed.epoch >= newest(parsed.name))
