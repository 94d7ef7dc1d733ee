"""What threads do without the protocol's generator comes to the same as the protocol, whatever the store answers."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ringfence.errors import OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks import acquire as protocol
from ringfence.locks import at_once
from ringfence.locks.acquire import Granted
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import now, run
from tests.locks.remote import Remote

ANSWERED, REFUSED, TIMED_OUT, LOST, INTERRUPTED = "answered", "refused", "timed out", "lost", "interrupted"
ERRORS: dict[str, type[BaseException]] = {
    REFUSED: StoreError,
    TIMED_OUT: StoreTimeout,
    LOST: OutcomeUnknown,
    INTERRUPTED: KeyboardInterrupt,
}


class Scripted:
    """A store in memory of which the first requests go wrong as they are told to."""

    def __init__(self, *outcomes: str) -> None:
        self.store: Any = MemoryStore()
        self.calls: list[str] = []
        self._outcomes = iter(outcomes)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            self.calls.append(operation)
            outcome = next(self._outcomes, ANSWERED)
            if outcome in (REFUSED, TIMED_OUT):
                raise ERRORS[outcome](outcome)
            answer = getattr(self.store, operation)(*arguments)
            if outcome != ANSWERED:
                raise ERRORS[outcome](outcome)
            return answer

        return ask


def seen(store: Scripted, work: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What the work comes to: its result or error, what was asked, and who holds the lock."""
    try:
        result: Any = work(store)
        result = isinstance(result, Granted) or result
    except BaseException as error:
        result = type(error)
    return result, store.calls, [held.owner for held in store.store.leases()]


OUTCOMES = list(itertools.product([ANSWERED, *ERRORS], repeat=2))


@pytest.mark.parametrize("outcomes", OUTCOMES, ids="-".join)
@pytest.mark.parametrize("other", [None, "another"])
@pytest.mark.parametrize("timeout", [0.0, 0.05])
def test_taking_a_lock_is_the_same(outcomes: tuple[str, ...], other: str | None, timeout: float) -> None:
    def with_holder() -> Scripted:
        store = Scripted(*outcomes)
        if other is not None:
            store.store.grant("x", other, 60.0)
        return store

    def here(store: Any) -> Granted | None:
        return at_once.take(store, "x", "me", 60.0, timeout, bool)

    def by_protocol(store: Any) -> Granted | None:
        return run(protocol.acquire(store, "x", "me", 60.0, timeout, jitter=lambda: 0.0))

    mine, expected = seen(with_holder(), here), seen(with_holder(), by_protocol)
    if timeout and other is not None:  # how often is a matter of time
        mine, expected = (mine[0], set(mine[1]), mine[2]), (expected[0], set(expected[1]), expected[2])
    assert mine == expected


@pytest.mark.parametrize("outcomes", OUTCOMES, ids="-".join)
@pytest.mark.parametrize("holder", ["me", "another"])
def test_giving_a_lock_back_is_the_same(outcomes: tuple[str, ...], holder: str) -> None:
    def release(store: Scripted, how: Callable[[LockStore, Claim, float], bool]) -> bool:
        claim = Claim("x", "me", store.store.grant("x", holder, 60.0), 60.0)
        return how(store, claim, now() + 60.0)  # type: ignore[arg-type]

    def here(store: Any) -> bool:
        return release(store, at_once.give_back)

    def by_protocol(store: Any) -> bool:
        return release(store, lambda *what: run(protocol.release(*what)))

    assert seen(Scripted(*outcomes), here) == seen(Scripted(*outcomes), by_protocol)


@pytest.fixture
def store() -> Remote:
    return Remote(MemoryStore())


@pytest.fixture
def manager(store: LockStore) -> Iterator[LockManager]:
    with LockManager(store) as manager:
        yield manager


@pytest.mark.parametrize("step", ["enter", "hold"])
def test_an_interrupt_in_line_leaves_nobody_there(
    manager: LockManager, store: Remote, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = manager._session._cohort
    assert cohort is not None
    lines = cohort._lines

    class Interrupting:
        """The lines, with an interrupt just after one of their steps."""

        def __getattr__(self, name: str) -> Any:
            def and_interrupt(*arguments: Any) -> None:
                getattr(lines, name)(*arguments)
                raise KeyboardInterrupt

            return and_interrupt if name == step else getattr(lines, name)

    monkeypatch.setattr(cohort, "_lines", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        manager.lock("x").acquire()
    monkeypatch.setattr(cohort, "_lines", lines)
    assert store.leases() == []
    assert not lines._lines
    with manager.lock("x") as lease:
        lease.check()
