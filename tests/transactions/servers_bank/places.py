"""A bank whose accounts are in two databases of a PostgreSQL and one of a MariaDB, and what must be true of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
import pymysql

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import MariaDB, PostgreSQL
from ringfence.testing.servers.single import SingleServer

PLACES = {"east": "postgresql", "north": "mariadb", "west": "postgresql"}
ACCOUNTS = 8
MONEY = 100
TOTAL = len(PLACES) * ACCOUNTS * MONEY

_TABLES = (
    "CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL)",
    "CREATE TABLE transfer (label VARCHAR(80) PRIMARY KEY, places VARCHAR(80) NOT NULL)",
    f"INSERT INTO account VALUES {', '.join(f'({number}, {MONEY})' for number in range(ACCOUNTS))}",
)
_PREPARED = {
    "postgresql": "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()",
    "mariadb": "XA RECOVER",
}


@dataclass(frozen=True)
class Books:
    """What the bank's books say.

    Attributes:
        total: all the money there is to be seen.
        whole: labels of transfers that are in all their places.
        torn: labels of transfers that are in some of their places only.
        in_doubt: how many prepared branches there are.
    """

    total: int
    whole: frozenset[str]
    torn: frozenset[str]
    in_doubt: int

    def __str__(self) -> str:
        return (
            f"{len(self.whole)} whole transfers, {len(self.torn)} torn, {self.in_doubt} branches in doubt, "
            f"{self.total} of {TOTAL} to be seen"
        )


class Places:
    """The servers, each behind a proxy; a context manager."""

    def __init__(self) -> None:
        self._until = ExitStack()
        self.servers: dict[str, SingleServer] = {"postgresql": PostgreSQL(), "mariadb": MariaDB()}
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        with ExitStack() as until:
            for kind, server in self.servers.items():
                until.callback(server.close)
                server.start()
                self.proxies[kind] = until.enter_context(Proxy(server.port))
            for place in PLACES:
                self._make(place)
            self._until = until.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    def url(self, place: str, *, proxied: bool) -> str:
        """Where a place is, for clients; through its proxy, or straight for checking."""
        kind = PLACES[place]
        port = self.proxies[kind].port if proxied else self.servers[kind].port
        user = "postgres" if kind == "postgresql" else "root"
        return f"{kind}://{user}@127.0.0.1:{port}/{place}"

    def urls(self, *, proxied: bool) -> dict[str, str]:
        """Where all places are."""
        return {place: self.url(place, proxied=proxied) for place in PLACES}

    def heal(self) -> None:
        """Have all servers run."""
        for server in self.servers.values():
            server.resume()
            server.start()

    def books(self) -> Books:
        """Read the books, as somebody who knows nothing of distributed transactions."""
        total = in_doubt = 0
        found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for place, kind in PLACES.items():
            [(money,)] = self._ask(place, "SELECT SUM(balance) FROM account")
            total += int(money)
            in_doubt += len(self._ask(place, _PREPARED[kind]))
            for label, places in self._ask(place, "SELECT label, places FROM transfer"):
                found[label, places].add(place)
        whole = {label for (label, places), there in found.items() if there == set(places.split(","))}
        torn = {label for label, _ in found} - whole
        return Books(total, frozenset(whole), frozenset(torn), in_doubt)

    def _make(self, place: str) -> None:
        with self._connected(place, created=False) as cursor:
            cursor.execute(f"CREATE DATABASE {place}")
        with self._connected(place) as cursor:
            for statement in _TABLES:
                cursor.execute(statement)

    def _ask(self, place: str, statement: str) -> Sequence[tuple[Any, ...]]:
        with self._connected(place) as cursor:
            cursor.execute(statement)
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return rows

    @contextmanager
    def _connected(self, place: str, *, created: bool = True) -> Iterator[Any]:
        kind = PLACES[place]
        port = self.servers[kind].port
        opened: Any
        if kind == "postgresql":
            database = place if created else "postgres"
            opened = psycopg.connect(self._without_password(port, database), autocommit=True)
        else:
            opened = pymysql.connect(
                host="127.0.0.1", port=port, user="root", database=place if created else None, autocommit=True
            )
        with closing(opened), opened.cursor() as cursor:
            yield cursor

    def _without_password(self, port: int, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{port}/{database}"
