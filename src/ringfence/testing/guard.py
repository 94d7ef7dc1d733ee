# ruff: noqa: D102 -- the name of a test says what it shows
"""What every guard must do, as a suite that anyone can run over a guard of their own.

With pytest, subclass it under a name that starts with `Test`::

    class TestMyGuard(GuardSuite):
        def open(self, resource: str) -> MyGuard:
            return MyGuard(..., resource)

        def put(self, writing: Any, value: str) -> None:
            writing.set("value", value)

        def read(self) -> str:
            return client.get("value")

It needs no pytest: `ringfence.testing.suites.failures(suite)` runs it and returns what failed.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from typing import Any

from ringfence.errors import FenceRejected, InvalidType, InvalidValue, LeaseLost, NotHeld, StoreTimeout
from ringfence.locks import LockManager
from ringfence.locks.guards.base import BaseGuard
from ringfence.locks.stores.memory import MemoryStore
from ringfence.testing.suites import refused

PATIENCE = 30.0


class GuardSuite(ABC):
    """The conformance suite of guards; each test begins with an empty value that nobody has written."""

    @abstractmethod
    def open(self, resource: str = "x") -> BaseGuard[Any]:
        """Return a new guard, which gives up waiting after a second or less."""

    @abstractmethod
    def put(self, writing: Any, value: str) -> None:
        """Write the value, by what `guard.write()` gave."""

    @abstractmethod
    def read(self) -> str:
        """Return the value that is there, with or without guard; an empty string if none is."""

    def restart(self) -> None:  # noqa: B027
        """End the server that keeps the data, hard, and start it again; nothing where there is none."""

    def write(self, guard: BaseGuard[Any], holder: Any, value: str = "") -> None:
        """Write under a fence or lease; the value is the fence unless one is given."""
        with guard.write(holder) as writing:
            self.put(writing, value or str(holder))

    def test_nothing_is_marked_before_the_first_write(self) -> None:
        with self.open() as guard:
            assert guard.mark() == 0
            self.write(guard, 5)
            assert guard.mark() == 5
        assert self.read() == "5"

    def test_a_stale_fence_is_refused_and_writes_nothing(self) -> None:
        with self.open() as guard:
            self.write(guard, 5)
            self.write(guard, 9)
            error = refused(FenceRejected, self.write, guard, 8)
            assert isinstance(error, FenceRejected)
            assert (error.resource, error.fence, error.mark) == (guard.resource, 8, 9)
            assert guard.mark() == 9
        assert self.read() == "9"

    def test_an_equal_fence_may_write_again(self) -> None:
        with self.open() as guard:
            self.write(guard, 5, "first")
            self.write(guard, 5, "second")
        assert self.read() == "second"

    def test_fences_of_63_bits_are_told_apart(self) -> None:
        with self.open() as guard:
            for fence in (9, 10, 2**53, 2**53 + 1, 2**63 - 1):
                self.write(guard, fence)
                assert guard.mark() == fence
                refused(FenceRejected, self.write, guard, fence - 1)
        assert self.read() == str(2**63 - 1)

    def test_a_block_that_fails_writes_nothing(self) -> None:
        with self.open() as guard:
            self.write(guard, 5)
            refused(ZeroDivisionError, self._fail, guard, 6)
            assert self.read() == "5"
            self.write(guard, 6)
        assert self.read() == "6"

    def _fail(self, guard: BaseGuard[Any], fence: int) -> None:
        with guard.write(fence) as writing:
            self.put(writing, "failed")
            raise ZeroDivisionError

    def test_the_mark_outlives_the_guard(self) -> None:
        with self.open() as guard:
            self.write(guard, 9)
        with self.open() as guard:
            assert guard.mark() == 9
            refused(FenceRejected, self.write, guard, 8)

    def test_the_mark_outlives_the_server(self) -> None:
        with self.open() as guard:
            self.write(guard, 9)
        self.restart()
        with self.open() as guard:
            refused(FenceRejected, self.write, guard, 8)
            self.write(guard, 9, "again")
        assert self.read() == "again"

    def test_a_lease_is_as_good_as_its_fence(self) -> None:
        with LockManager(MemoryStore()) as manager, self.open() as guard:
            with manager.lock("x") as lease:
                self.write(guard, lease, "held")
                assert guard.mark() == lease.fence
            refused(NotHeld, self.write, guard, lease, "released")
        assert self.read() == "held"

    def test_a_lost_lease_is_refused_before_a_newer_holder_has_written_and_after(self) -> None:
        with LockManager(MemoryStore()) as manager, self.open() as guard:
            lease = manager.lock("x", ttl=0.05, renew=False).acquire()
            assert lease is not None
            lost = threading.Event()
            lease.on_lost(lambda _: lost.set())
            assert lost.wait(PATIENCE)
            refused(LeaseLost, self.write, guard, lease)
            assert self.read() == ""
            self.write(guard, lease.fence + 1, "newer")
            refused(FenceRejected, self.write, guard, lease)
        assert self.read() == "newer"

    def test_what_is_no_holder_is_refused(self) -> None:
        with self.open() as guard:
            for holder in ("1", 1.0, None, True):
                refused(InvalidType, self.write, guard, holder)
            for fence in (-1, 2**63):
                refused(InvalidValue, self.write, guard, fence)

    def test_a_write_under_way_never_lands_on_a_newer_one(self) -> None:
        self._write_and_be_overtaken(2)

    def test_a_further_write_of_a_holder_never_lands_on_a_newer_one(self) -> None:
        self._write_and_be_overtaken(1)

    def _write_and_be_overtaken(self, fence: int) -> None:
        overtaken = False
        with self.open() as old, self.open() as new:
            self.write(old, 1)
            try:
                with old.write(fence) as writing:
                    self.put(writing, str(fence))
                    overtaken = self._overtakes(new)
            except FenceRejected:
                assert overtaken
            else:
                assert not overtaken
                assert self.read() == str(fence)
                self.write(new, 3)
        assert self.read() == "3"

    def _overtakes(self, guard: BaseGuard[Any]) -> bool:
        """Say whether a newer write went through; a guard whose writers wait for each other times out."""
        try:
            self.write(guard, 3)
        except StoreTimeout:
            return False
        return True

    def test_writers_in_any_order_never_go_backwards(self) -> None:
        fences = list(range(1, 25))
        random.Random(1).shuffle(fences)
        failures: list[BaseException] = []
        seen = []
        threads = [
            threading.Thread(target=self._race, args=(fences[start::3], failures)) for start in range(3)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            seen.append(int(self.read() or 0))
            threads[0].join(0.001)
        for thread in threads:
            thread.join(PATIENCE)
        assert not failures, failures
        assert seen == sorted(seen)
        assert self.read() == "24"

    def _race(self, fences: list[int], failures: list[BaseException]) -> None:
        with self.open() as guard:
            for fence in fences:
                try:
                    self._until_written(guard, fence)
                except FenceRejected as error:
                    if error.mark <= fence:
                        failures.append(error)
                except BaseException as error:
                    failures.append(error)

    def _until_written(self, guard: BaseGuard[Any], fence: int) -> None:
        while True:
            try:
                return self.write(guard, fence)
            except StoreTimeout:
                continue
