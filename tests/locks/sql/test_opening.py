"""What a URL of a database means, what is said when the database says no, and how the table comes to be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from ringfence.cli import main
from ringfence.errors import BackendUnavailable, InvalidValue, LeaseLost, StoreError
from ringfence.locks.manager import LockManager
from ringfence.locks.opening import open_store
from ringfence.locks.stores.sql.opening import without_mode
from ringfence.locks.stores.sql.row_store import RowStore
from ringfence.testing.servers.ports import free_ports
from ringfence.testing.servers.single import SingleServer
from tests.locks.sql.tables import ask, empty

SERVERS = pytest.mark.servers
MODES = [("", "ringfence_lock"), ("?mode=session", "ringfence_session")]
URLS = [
    "postgresql://u:secret@127.0.0.1:{}/x",
    "mariadb://u:secret@127.0.0.1:{}/x",
    "mysql://u@127.0.0.1:{}/x",
]


@pytest.mark.parametrize("url", URLS)
def test_nothing_is_connected_before_it_is_asked(url: str) -> None:
    with closing(open_store(url.format(1))) as store:
        assert isinstance(store, RowStore)


@pytest.mark.parametrize("url", URLS)
def test_a_server_that_is_not_there_is_said_to_be_unavailable(url: str) -> None:
    [port] = free_ports(1)
    with LockManager.from_url(url.format(port)) as manager:
        with pytest.raises(BackendUnavailable, match="cannot be reached") as error:
            manager.lock("x").acquire()
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql://x@127.0.0.1/x?nonsense=1", "libpq"),
        ("mariadb://x@127.0.0.1/x?nonsense=1", "nonsense"),
        ("postgresql://x@127.0.0.1/x?mode=fast", "one of row, session"),
        ("mysql://x@127.0.0.1/x?mode=", "one of row, session"),
    ],
)
def test_a_url_that_cannot_be_right_is_refused(url: str, what: str) -> None:
    with pytest.raises(InvalidValue, match=what):
        open_store(url)


def test_the_mode_is_taken_out_of_the_url() -> None:
    assert without_mode("postgresql://u@h/d?mode=row&sslmode=require") == (
        "row",
        "postgresql://u@h/d?sslmode=require",
    )
    assert without_mode("mariadb://u@h/d?mode=session") == ("session", "mariadb://u@h/d")
    assert without_mode("mariadb://u@h/d") == ("row", "mariadb://u@h/d")
    assert without_mode("mysql:///d?unix_socket=%2Fs") == ("row", "mysql:///d?unix_socket=%2Fs")


@SERVERS
@pytest.mark.parametrize("options", ["", "?mode=session"])
def test_several_may_make_the_table_at_once(server: SingleServer, name: str, options: str) -> None:
    start = threading.Barrier(6)
    fences: list[int | None] = []

    def take(number: int) -> None:
        with closing(open_store(server.url + options)) as store:
            start.wait(60)
            fences.append(store.grant(f"{name}{number}", "me", 60.0))

    for _ in range(3):
        empty(server.url)
        threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(fences) == 18
    assert None not in fences


@contextmanager
def somebody(server: SingleServer, *rights: str) -> Iterator[str]:
    """Have a user who may nothing but what is granted; gives the URL."""
    postgresql = server.needed.kind == "postgresql"
    who = "somebody" if postgresql else "somebody@'127.0.0.1'"
    ask(server.url, "CREATE ROLE somebody LOGIN" if postgresql else f"CREATE USER {who}")
    try:
        for right in rights:
            ask(server.url, f"GRANT {right} TO {who}")
        yield server.url.replace("postgres@" if postgresql else "root@", "somebody@")
    finally:
        if postgresql:
            ask(server.url, "DROP OWNED BY somebody")
        ask(server.url, f"DROP {'ROLE' if postgresql else 'USER'} {who}")


def database(server: SingleServer) -> str:
    """Return what lets a user of MariaDB into the database at all."""
    return "USAGE ON SCHEMA public" if server.needed.kind == "postgresql" else "SELECT ON test.*"


@SERVERS
@pytest.mark.parametrize(("options", "table"), MODES)
def test_who_may_not_make_the_table_is_told_how_to_have_it_made(
    server: SingleServer, name: str, options: str, table: str
) -> None:
    empty(server.url)
    with somebody(server, database(server)) as url, closing(open_store(url + options)) as store:
        with pytest.raises(StoreError, match=f"CREATE TABLE IF NOT EXISTS {table}") as error:
            store.grant(name, "me", 60.0)
        ask(server.url, str(error.value).partition("made by:\n")[2])
        with pytest.raises(StoreError, match=f"SELECT, INSERT and UPDATE on the\\s+table {table}"):
            store.grant(name, "me", 60.0)


@SERVERS
@pytest.mark.parametrize(("options", "table"), MODES)
def test_three_rights_are_enough(server: SingleServer, name: str, options: str, table: str) -> None:
    with closing(open_store(server.url + options)) as store:
        store.grant(name, "other", 60.0)
        rights = f"SELECT, INSERT, UPDATE ON {table}"
        with (
            somebody(server, database(server), rights) as url,
            LockManager.from_url(url + options) as manager,
        ):
            assert manager.lock(name).acquire(blocking=False) is None
            with manager.lock(name + "free") as lease:
                lease.extend()


@SERVERS
@pytest.mark.parametrize("options", ["", "?mode=session"])
def test_a_closed_store_is_closed(server: SingleServer, name: str, options: str) -> None:
    store = open_store(server.url + options)
    store.grant(name, "me", 60.0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.grant(name, "me", 60.0)


@SERVERS
@pytest.mark.parametrize("options", ["", "?mode=session"])
def test_the_command_line_breaks_a_lock(server: SingleServer, name: str, options: str, capfd: Any) -> None:
    url = server.url + options
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other:
        lease = manager.lock(name, ttl=60).acquire()
        assert lease is not None
        assert main(["lock", "break", name, "--url", url, "--yes"]) == 0
        assert str(lease.fence) in capfd.readouterr().out
        with pytest.raises(LeaseLost):
            lease.extend()
        with other.lock(name) as later:
            assert later.fence > lease.fence


@SERVERS
@pytest.mark.parametrize("options", ["", "?mode=session"])
def test_the_command_line_knows_them(server: SingleServer, name: str, options: str, capfd: Any) -> None:
    url = server.url + options
    with LockManager.from_url(url) as manager:
        lease = manager.lock(name, ttl=60).acquire()
        assert lease is not None
        assert main(["lock", "list", "--url", url]) == 0
        assert f"{name} " in capfd.readouterr().out
    assert main(["lock", "run", name, "--url", url, "--", "sh", "-c", "echo $FENCE"]) == 0
    assert int(capfd.readouterr().out) > lease.fence
