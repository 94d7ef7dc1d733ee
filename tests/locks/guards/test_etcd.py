"""The suite over the guard of etcd, and what is its alone."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence._etcd import Etcd, get_op
from ringfence.errors import BackendUnavailable, FenceRejected, InvalidType, InvalidValue, StoreError
from ringfence.locks.guards import EtcdGuard
from tests.locks.guards.server_suite import ServerSuite

pytestmark = pytest.mark.servers


class TestEtcd(ServerSuite):
    kind = "etcd"

    def open(self, resource: str = "") -> EtcdGuard:
        return EtcdGuard(self.server.url, resource or self.key)

    def put(self, writing: Any, value: str) -> None:
        writing.put(self.key, value)

    def read(self) -> str:
        client = Etcd([self.server.url.replace("etcd", "http")])
        try:
            [found] = client.txn([], [get_op(self.key)]).found
        finally:
            client.close()
        return found[0].value.decode() if found else ""

    def test_all_writes_of_a_block_are_made_or_none(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)

            def write_twice() -> None:
                with guard.write(2) as writes:
                    writes.put(f"{self.key}/other", b"\xff")
                    writes.put(self.key, "2")
                    writes.put(self.key, "3")

            with pytest.raises(StoreError, match="duplicate key"):
                write_twice()
            assert (self.read(), guard.mark()) == ("1", 1)
            with guard.write(2) as writes:
                writes.delete(self.key)
            assert (self.read(), guard.mark()) == ("", 2)

    def test_a_mark_raised_between_comparing_and_writing_is_seen(self) -> None:
        """The transaction fails, and the fence is compared again with what is there now."""
        with self.open() as guard, self.open() as newer:
            self.write(guard, 1)
            read = guard._read

            def read_and_be_overtaken() -> tuple[int, int]:
                found = read()
                guard._read = read  # type: ignore[method-assign]
                self.write(newer, 3)
                return found

            def late() -> None:
                with guard.write(2) as writes:
                    self.put(writes, "2")
                    guard._read = read_and_be_overtaken  # type: ignore[method-assign]

            with pytest.raises(FenceRejected):
                late()
            assert self.read() == "3"

    def test_resources_and_paths_are_independent(self) -> None:
        with self.open() as guard, self.open("other" + self.key) as other:
            self.write(guard, 9)
            self.write(other, 1)
        with EtcdGuard(f"{self.server.url}/elsewhere", self.key) as elsewhere:
            self.write(elsewhere, 2)
        assert self.read() == "2"

    def test_a_server_that_is_not_there_is_named(self) -> None:
        with (
            EtcdGuard("etcd://127.0.0.1:1", "x") as guard,
            pytest.raises(BackendUnavailable, match=r"0\.1:1"),
        ):
            self.write(guard, 1)

    @pytest.mark.parametrize("url", [None, 1, "redis://x", "etcd://", "etcd://x?y=1"])
    def test_a_url_of_etcd_is_needed(self, url: Any) -> None:
        with pytest.raises((InvalidType, InvalidValue)):
            EtcdGuard(url, "x")
