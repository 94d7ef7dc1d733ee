"""Plain DB-API connections of the application: psycopg, PyMySQL and sqlite3.

tm = TransactionManager("sqlite:///decisions.db", {
    "east": participant(EAST, east_pool.getconn, east_pool.putconn),
    "west": participant(WEST, west_pool.getconn, west_pool.putconn),
})
with tm.transaction() as tx:
    tx["east"].cursor().execute("UPDATE account SET cents = cents - 10")
    tx["west"].cursor().execute("UPDATE account SET cents = cents + 10")

Rows, types, placeholders and errors are those of the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ringfence._url import split
from ringfence.bindings import kinds
from ringfence.bindings.lent import LentParticipant, Returned, Shelf

_DRIVERS = {
    "postgresql": "psycopg",
    "postgres": "psycopg",
    "mariadb": "pymysql",
    "mysql": "pymysql",
    "sqlite": "pysqlite",
}


def participant(
    url: str,
    connect: Callable[[], Any],
    give: Callable[[Any], object] | None = None,
    *,
    timeout: float = 5.0,
) -> LentParticipant:
    """Return a participant whose branches run on connections that `connect` gives.

    `tx[name].cursor()` is a cursor of such a connection. Its statements are the driver's, errors and all; those that
    would end the transaction are refused. The connection is the branch's until the transaction is over.

    Args:
        url: of the same database, where recovery opens connections of its own: `postgresql://…`, `mariadb://…` or
            `sqlite:///path`.
        connect: gives a connection that is in no transaction: of psycopg, PyMySQL or sqlite3, as the URL says.
        give: takes one back, as `putconn` of a pool does, sometimes one that is closed; without it they are closed.
        timeout: seconds that recovery waits for other transactions.

    Raises:
        BackendUnavailable: the driver is not installed.
        InvalidValue: no participant is known for the URL.
    """
    scheme, _ = split(url, tuple(_DRIVERS))

    def borrow() -> tuple[Any, Returned]:
        connection = connect()

        def returned(_: bool) -> None:
            (give or _close)(connection)

        return connection, returned

    made: LentParticipant = kinds.of(_DRIVERS[scheme]).open(url, timeout, Shelf(borrow))
    return made


def _close(connection: Any) -> None:
    with suppress(Exception):  # of a connection that broke, or was closed already
        connection.close()
