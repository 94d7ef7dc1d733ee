"""Which node of a Redis Cluster serves which lock, and how its nodes are asked; for both faces of the store.

Source: the Redis Cluster specification (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ringfence import _redis
from ringfence.errors import BackendUnavailable, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.stores import Claim, Holder
from ringfence.locks.stores.redis.wire import Redirected, tag
from ringfence.protocol import Call, Effects, Now, Parallel

SLOTS = 16384
_REDIRECTIONS = 5
_LOOK_AGAIN = 0.05  # seconds; while a node is down, each of many waiters fails often


def slot(name: str) -> int:
    """Return the hash slot of a lock: its name is the hash tag of its keys."""
    return crc_hqx(tag(name).encode(), 0) % SLOTS


class Cluster:
    """The nodes of a cluster, each a store of its own, and the slots they serve as far as it is known.

    What a failed or moved node was asked is asked again at the right one if nothing was sent. Otherwise it is unknown,
    as with a single server.

    Args:
        url: `redis+cluster://[user:password@]host:port,host:port`, with the options of redis-py; some of the nodes do.
        open_node: makes the store of one node from its URL, without connecting.
    """

    def __init__(self, url: str, open_node: Callable[[str], Any]) -> None:
        self._url = url
        self._open = open_node
        self._seeds = _redis.members(url)
        self._serving: list[str] = []
        self._looked = -_LOOK_AGAIN
        self.nodes: dict[str, Any] = {}
        for seed in self._seeds:
            self._node(seed)

    def ask(self, name: str, method: str, *args: Any) -> Effects[Any]:
        """Ask the node that serves a lock.

        Raises:
            StoreTimeout: it is not served now; nothing was changed.
            OutcomeUnknown: there was no answer.
        """
        number = slot(name)
        for _ in range(_REDIRECTIONS):
            address = yield from self._server(number)
            try:
                return (yield Call(self._node(address), method, args))
            except Redirected as redirected:
                there = _whole(redirected.address, address)
                if redirected.asking:
                    return (yield from self._ask_while_moving(there, method, args))
                self._serving[number] = there
            except OutcomeUnknown:
                yield from self._look(address)
                raise
            except (StoreTimeout, BackendUnavailable) as failure:
                yield from self._look(address)
                if self._serving[number] == address:
                    raise StoreTimeout(f"{failure}; nothing was changed, try again") from failure
        raise StoreTimeout(f"{name!r} is sent from node to node; nothing was changed, try again")

    def renew(self, claims: Sequence[Claim]) -> Effects[list[bool | None]]:
        """Extend leases, at each node those it serves; None for those that a node did not answer for."""
        parts: dict[str, list[Claim]] = {}
        for claim in claims:
            parts.setdefault((yield from self._server(slot(claim.name))), []).append(claim)
        calls = tuple(Call(self._node(address), "renew", (part,)) for address, part in parts.items())
        answers: dict[Claim, bool | None] = {}
        failure: Exception | None = None
        for address, part, outcome in zip(parts, parts.values(), (yield Parallel(calls)), strict=True):
            if isinstance(outcome, Redirected):
                answers.update((yield from self._renew_singly(part)))
            elif isinstance(outcome, Exception):
                yield from self._look(address)
                failure = outcome
            else:
                answers.update(zip(part, outcome, strict=True))
        if failure is not None and not answers:
            raise failure
        return [answers.get(claim) for claim in claims]

    def leases(self) -> Effects[list[Holder]]:
        """Return all leases there are, at all nodes."""
        yield from self._server(0)
        calls = tuple(Call(self._node(address), "leases") for address in sorted(set(self._serving)))
        found: list[Holder] = []
        for outcome in (yield Parallel(calls)):
            if isinstance(outcome, Exception):
                raise outcome
            found += outcome
        return sorted(found)

    def _renew_singly(self, claims: Iterable[Claim]) -> Effects[dict[Claim, bool | None]]:
        """Extend leases whose slots are about to be served by another node."""
        answers: dict[Claim, bool | None] = {}
        for claim in claims:
            try:
                [answers[claim]] = yield from self.ask(claim.name, "renew", [claim])
            except StoreError:
                answers[claim] = None
        return answers

    def _ask_while_moving(self, address: str, method: str, args: tuple[Any, ...]) -> Effects[Any]:
        """Ask the node to which a slot moves; only a renewal, of one key, can be served before all have moved."""
        if method != "renew":
            raise StoreTimeout(
                "the slot of the lock is moving to another node; nothing was changed, try again"
            )
        return (yield Call(self._node(address), method, (*args, True)))

    def _server(self, number: int) -> Effects[str]:
        if not self._serving:
            yield from self._look()
        return self._serving[number]

    def _look(self, failed: str = "") -> Effects[None]:
        """Ask one node after the other, a failed one last, for who serves the slots."""
        moment = yield Now()
        if self._serving and moment < self._looked + _LOOK_AGAIN:
            return
        self._looked = moment
        failure: StoreError | None = None
        for address in sorted(dict.fromkeys([*self._serving, *self._seeds]), key=failed.__eq__):
            try:
                rows = yield Call(self._node(address), "ask", ("CLUSTER", "SLOTS"))
            except StoreError as error:
                failure = error
                continue
            self._serving = served(rows, address)
            return
        if failure is not None and not self._serving:
            raise failure

    def _node(self, address: str) -> Any:
        node = self.nodes.get(address)
        if node is None:
            node = self.nodes.setdefault(address, self._open(_redis.member(self._url, address)))
        return node


def served(rows: Sequence[Sequence[Any]], asked: str) -> list[str]:
    """Return the address of the primary of each slot, from the answer to `CLUSTER SLOTS`.

    A slot that nobody serves is given to the node that was asked, which will refuse.
    """
    found = [asked] * SLOTS
    for first, last, primary, *_ in rows:
        host = (primary[0] or b"").decode()
        there = _redis.address(host, primary[1]) if host else _whole(f":{primary[1]}", asked)
        found[first : last + 1] = [there] * (last + 1 - first)
    return found


def _whole(address: str, asked: str) -> str:
    """Return an address with its host: that of the node that was asked if it has none."""
    host, _, port = address.rpartition(":")
    return _redis.address(host.strip("[]"), int(port)) if host else f"{asked.rpartition(':')[0]}:{port}"
