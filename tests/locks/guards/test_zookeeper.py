"""The suite over the guard of ZooKeeper, and what is its alone."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence import _zookeeper
from ringfence.errors import BackendUnavailable, FenceRejected, InvalidType, InvalidValue, StoreError
from ringfence.locks.guards import ZooKeeperGuard
from tests.locks.guards.server_suite import ServerSuite

pytestmark = pytest.mark.servers


class TestZooKeeper(ServerSuite):
    kind = "zookeeper"

    @pytest.fixture(autouse=True)
    def _node(self, _use: None) -> Any:
        self.client = _zookeeper.connect([self.server.url.removeprefix("zookeeper://")], 10)
        try:
            self.client.create(f"/{self.key}")
            yield
        finally:
            _zookeeper.end(self.client)

    def open(self, resource: str = "") -> ZooKeeperGuard:
        return ZooKeeperGuard(self.server.url, resource or self.key)

    def put(self, writing: Any, value: str) -> None:
        writing.set_data(f"/{self.key}", value.encode())

    def read(self) -> str:
        value, _ = self.client.retry(self.client.get, f"/{self.key}")
        return str(value.decode())

    def test_all_writes_of_a_block_are_made_or_none(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)

            def write_nowhere() -> None:
                with guard.write(2) as writes:
                    self.put(writes, "2")
                    writes.create(f"/{self.key}/child", b"x")
                    writes.delete("/nowhere")

            with pytest.raises(StoreError, match="NoNode"):
                write_nowhere()
            assert (self.read(), guard.mark()) == ("1", 1)
            with guard.write(2) as writes:
                writes.check(f"/{self.key}", 1)
                writes.create(f"/{self.key}/child", b"x")
            with guard.write(2) as writes:
                writes.delete(f"/{self.key}/child")
            assert not self.client.exists(f"/{self.key}/child")

    def test_a_mark_raised_between_comparing_and_writing_is_seen(self) -> None:
        """The transaction fails, and the fence is compared again with what is there now."""
        with self.open() as guard, self.open() as newer:
            self.write(guard, 1)
            read = guard._read

            def read_and_be_overtaken() -> tuple[int, int | None]:
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
        with self.open() as guard, self.open("..") as other, self.open("a/é") as another:
            self.write(guard, 9)
            self.write(other, 1)
            self.write(another, 2)
        with ZooKeeperGuard(f"{self.server.url}/else/where", self.key) as elsewhere:
            self.write(elsewhere, 3)
        assert self.read() == "3"

    def test_a_server_that_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_zookeeper, "TIMEOUT", 0.2)
        with (
            ZooKeeperGuard("zookeeper://127.0.0.1:1", "x") as guard,
            pytest.raises(BackendUnavailable, match=r"0\.1:1"),
        ):
            self.write(guard, 1)

    @pytest.mark.parametrize("url", [None, 1, "redis://x", "zookeeper://", "zookeeper://x?y=1"])
    def test_a_url_of_zookeeper_is_needed(self, url: Any) -> None:
        with pytest.raises((InvalidType, InvalidValue)):
            ZooKeeperGuard(url, "x")
