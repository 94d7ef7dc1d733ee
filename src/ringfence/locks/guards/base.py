"""What all guards have in common: who may write, and the words for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

from ringfence._core.leases import check_fence
from ringfence.errors import FenceRejected
from ringfence.locks import rules
from ringfence.locks.arguments import check_name
from ringfence.locks.lease import BaseLease

W = TypeVar("W")


class BaseGuard(ABC, Generic[W]):
    """Lets the holder of the newest fence write, and nobody older.

    Args:
        resource: what is guarded; usually the name of the lock.

    Raises:
        InvalidType: the resource is not a string.
        InvalidValue: it is no name.
    """

    def __init__(self, resource: str) -> None:
        self.resource = check_name(resource)

    @contextmanager
    def write(self, holder: BaseLease | int) -> Iterator[W]:
        """Open a guarded write for the holder of a lease or fence.

        Leaving the block writes, and compares the fence in the same step; an exception writes nothing. Equal fences
        may write again: they are the same holder's.

        Raises:
            FenceRejected: a newer holder has written; nothing was changed.
            LeaseLost: the lease is lost, though no newer holder has written yet.
            NotHeld: the lease was released.
            InvalidType: `holder` is neither a lease nor an int.
            InvalidValue: it is no fence, or the guard was given a connection that is in a transaction already.
            StoreTimeout: others were writing for too long; nothing was changed.
            OutcomeUnknown: no answer, or the disk failed; the write may or may not be there.
            StoreError: the write failed otherwise.
        """
        fence = holder.fence if isinstance(holder, BaseLease) else holder
        check_fence(fence)
        with self._writing(fence, holder.check if isinstance(holder, BaseLease) else _nothing) as writing:
            yield writing

    @abstractmethod
    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""

    def close(self) -> None:
        """Close the guard's own connections. Closing twice is harmless."""

    @abstractmethod
    def _writing(self, fence: int, check: Callable[[], None]) -> AbstractContextManager[W]:
        """Refuse a stale fence, call `check`, give what writes; write at the end of the block."""

    def _admit(self, fence: int, mark: int) -> None:
        if not rules.admits(mark, fence):
            raise FenceRejected(self.resource, fence, mark)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _nothing() -> None:
    pass
