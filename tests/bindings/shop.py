"""Django over four databases: two in PostgreSQL, one in MariaDB and one in SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
import pymysql
from django.conf import settings

from .pairs import Pair

ENGINES = {"postgresql": "django.db.backends.postgresql", "mariadb": "django.db.backends.mysql"}


def set_up(postgresql: Pair, mariadb: Pair, file: Path) -> None:
    """Configure Django, once in a process."""
    if settings.configured:
        return
    pymysql.install_as_MySQLdb()
    here = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    databases = {"default": database(postgresql.east), "other": database(postgresql.west)}
    settings.configure(
        INSTALLED_APPS=["ringfence.bindings.django"],
        DATABASES={**databases, "maria": database(mariadb.west), "here": here},
    )
    django.setup()


def database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": ENGINES[parts.scheme],
        "NAME": parts.path.strip("/"),
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
    }


def run(alias: str, sql: str) -> Any:
    """Run a statement on Django's connection to a database."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None
