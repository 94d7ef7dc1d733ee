"""The transaction manager of a process, as Django's settings describe it."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connections

from ringfence.bindings import kinds
from ringfence.bindings.lent import LentParticipant, Shelf
from ringfence.errors import InvalidValue
from ringfence.transactions import TransactionManager

_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}
_KEYS = {"DECISIONS", "NAME", "TIMEOUT", "URLS"}


def manager() -> TransactionManager:
    """Return the transaction manager of this process, made when it is first asked for.

    `settings.RINGFENCE` has these keys:

    - `DECISIONS`: URL of the decision store, the same one for all who share a database.
    - `NAME`: the coordinator's name, or a function that returns it: one for each process at work, the same one again
      for the process that takes its place.
    - `TIMEOUT`: seconds that recovery waits for other transactions; 5 unless given.
    - `URLS`: where recovery opens connections of its own, by alias; made of `DATABASES` unless given.

    Every alias in `DATABASES` is a participant, by that name.

    Raises:
        InvalidValue: the settings cannot be used.
        StoreError: the decision store cannot be reached.
    """
    with _making:
        if _made.get("process") != os.getpid():  # a forked child is another coordinator
            _made.update(manager=_make(getattr(settings, "RINGFENCE", None)), process=os.getpid())
        made: TransactionManager = _made["manager"]
    return made


def forget() -> None:
    """Close this process's manager; the next call of `manager` makes another, of the settings of then."""
    with _making:
        if _made.pop("process", None) == os.getpid():
            _made.pop("manager").close()


def _make(wanted: Any) -> TransactionManager:
    if not isinstance(wanted, dict) or not {"DECISIONS", "NAME"} <= wanted.keys() <= _KEYS:
        raise InvalidValue(
            "settings.RINGFENCE is a dict with the keys DECISIONS and NAME, and perhaps TIMEOUT and URLS"
        )
    name, timeout, urls = wanted["NAME"], wanted.get("TIMEOUT", 5.0), wanted.get("URLS", {})
    participants = {alias: _participant(alias, urls.get(alias), timeout) for alias in connections}
    return TransactionManager(
        wanted["DECISIONS"], participants, name=name() if callable(name) else name, timeout=timeout
    )


def _participant(alias: str, url: str | None, timeout: float) -> LentParticipant:
    connection = connections[alias]
    if connection.vendor not in _DRIVERS:
        raise InvalidValue(
            f"database {alias!r} is {connection.vendor}; ringfence knows {', '.join(_DRIVERS)}"
        )
    kind = kinds.of(_DRIVERS[connection.vendor])
    made: LentParticipant = kind.open(url or _url(kind.scheme, connection.settings_dict), timeout, Shelf())
    return made


def _url(scheme: str, database: dict[str, Any]) -> str:
    name, host = quote(str(database["NAME"]), safe="/" if scheme == "sqlite" else ""), database["HOST"]
    if scheme == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user = quote(database["USER"], safe="")
    password = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    port = f":{database['PORT']}" if database["PORT"] else ""
    if host.startswith("/"):
        option = "host" if scheme == "postgresql" else "unix_socket"
        return f"{scheme}://{user}{password}@/{name}?{option}={quote(host, safe='/')}"
    return f"{scheme}://{user}{password}@{host or 'localhost'}{port}/{name}"


_made: dict[str, Any] = {}
_making = threading.Lock()
