"""What a lock of a tutorial does not have, as a store must have it."""

from collections.abc import Sequence

from ringfence.locks.stores import Claim, Holder, Push, Status


class Tutorial:
    """A store that neither waits nor renews, and knows nobody."""

    shared = False

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        return None

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        return [False for _ in claims]

    def withdraw(self, name: str, owner: str) -> None:
        self.release(name, owner, 0)

    def release(self, name: str, owner: str, fence: int) -> bool:
        raise NotImplementedError

    def status(self, name: str) -> Status:
        return Status((), ())

    def leases(self) -> list[Holder]:
        return []
