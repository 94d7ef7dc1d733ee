"""The suite over TLS with a private authority, and for a user who may do no more than locks need."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import InvalidValue, StoreError
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.programs import Programs
from ringfence.testing.servers.redis import Redis
from ringfence.testing.shared_lock import SharedLockSuite
from tests.locks.redis.beside import Beside

TIMEOUT = 30.0
ALLOWED = "~ringfence:* &ringfence:* -@all +@connection +@pubsub +@scripting +@read +@write +time +wait"


def certified(folder: Path) -> None:
    """Make an authority, and a certificate of it for the loopback address."""
    run(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority")
    run(folder, "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    run(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out server.crt -extfile names",
    )


def run(folder: Path, words: str) -> None:
    program = shutil.which("openssl")
    assert program, "the tests of TLS need the openssl program"
    subprocess.run([program, *words.split()], cwd=folder, check=True, capture_output=True, timeout=120)


class TlsRedis(Redis):
    """One that speaks TLS at a second port."""

    port_count = 2

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.certificates = folder

    @property
    def tls_url(self) -> str:
        return f"rediss://127.0.0.1:{self.ports[1]}/0?ssl_ca_certs={self.certificates}/ca.crt"

    def command(self, found: Programs) -> Sequence[str | Path]:
        options = {"cert": "server.crt", "key": "server.key", "ca-cert": "ca.crt"}
        words = [
            word
            for name, file in options.items()
            for word in (f"--tls-{name}-file", self.certificates / file)
        ]
        return [*super().command(found), "--tls-port", str(self.ports[1]), "--tls-auth-clients", "no", *words]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certified(folder)
    return folder


@pytest.mark.slow
class TestTls(SharedLockSuite, LockStoreSuite):
    @pytest.fixture(autouse=True)
    def serve(self, private_server: object, certificates: Path) -> None:
        self.server = private_server(TlsRedis(certificates))  # type: ignore[operator]

    def open(self) -> LockStore:
        return RedisStore(self.server.tls_url, timeout=TIMEOUT)

    def restart(self, store: LockStore) -> LockStore:
        self.server.restart(keep_disk=False)
        return store


class TestTlsForTasks(TestTls):
    def open(self) -> LockStore:
        return cast(LockStore, Beside(AsyncRedisStore(self.server.tls_url, timeout=TIMEOUT)))


@pytest.mark.slow
class TestAUserWhoMayDoNoMore(SharedLockSuite, LockStoreSuite):
    @pytest.fixture(autouse=True)
    def serve(self, private_server: object) -> None:
        self.server = private_server(Redis())  # type: ignore[operator]
        self.allow()

    def allow(self) -> None:
        resp.ask(self.server.port, "ACL", "SETUSER", "locks", "on", ">secret", *ALLOWED.split())

    def open(self) -> LockStore:
        return RedisStore(f"redis://locks:secret@127.0.0.1:{self.server.port}/0", timeout=TIMEOUT)

    def restart(self, store: LockStore) -> LockStore:
        self.server.restart(keep_disk=False)
        self.allow()
        return store


def test_locks_work_over_tls(certificates: Path) -> None:
    with (
        TlsRedis(certificates) as server,
        LockManager.from_url(server.tls_url) as manager,
        manager.lock("x") as lease,
    ):
        lease.extend()
        assert [holder.fence for holder in manager.leases()] == [lease.fence]


async def test_locks_of_tasks_work_over_tls(certificates: Path) -> None:
    with TlsRedis(certificates) as server:
        async with AioLockManager.from_url(server.tls_url) as manager, manager.lock("x") as lease:
            await lease.extend()
            assert [holder.fence for holder in await manager.leases()] == [lease.fence]


def test_a_server_of_an_unknown_authority_is_refused(certificates: Path) -> None:
    with TlsRedis(certificates) as server:
        url = server.tls_url.partition("?")[0]
        with (
            LockManager.from_url(url) as manager,
            pytest.raises(StoreError, match="certificate verify failed"),
        ):
            manager.lock("x").acquire()


def test_a_user_who_may_not_use_the_keys_is_told(private_server: object) -> None:
    server = private_server(Redis())  # type: ignore[operator]
    resp.ask(
        server.port, "ACL", "SETUSER", "other", "on", ">secret", *ALLOWED.replace("~ringfence", "~x").split()
    )
    url = f"redis://other:secret@127.0.0.1:{server.port}/0"
    with LockManager.from_url(url) as manager, pytest.raises(StoreError, match="NOPERM"):
        manager.lock("x").acquire()


def test_the_older_protocol_is_refused() -> None:
    with pytest.raises(InvalidValue, match="RESP3"):
        LockManager.from_url("redis://localhost:1/0?protocol=2")
