"""The examples of `docs/bindings.md` over real servers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections, models
from django.test.utils import override_settings
from sqlalchemy import Engine, create_engine, orm
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ringfence.bindings.django.configured import forget

from .pairs import Pair, connect, new_name
from .shop import set_up

PAGE = Path(__file__).parent.parent.parent / "docs" / "bindings.md"


class Base(orm.DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    cents: orm.Mapped[int]


class Order(Base):
    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    cents: orm.Mapped[int]


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """What the programs of the page define."""
    defined: dict[str, Any] = {}
    for program in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(program, PAGE.name, "exec"), defined)
    return defined


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One decision store for all, for all have the same name."""
    return f"sqlite:///{tmp_path_factory.mktemp('examples')}/decisions.db"


@pytest.fixture
def engines(postgresql: Pair) -> Iterator[dict[str, Engine]]:
    opened = {name: create_engine(url) for name, url in postgresql.engines.items()}
    Order.__table__.create(opened["west"], checkfirst=True)  # type: ignore[attr-defined]
    yield opened
    for engine in opened.values():
        engine.dispose()


@pytest.fixture
async def async_engines(engines: dict[str, Engine]) -> AsyncIterator[dict[str, AsyncEngine]]:
    opened = {name: create_async_engine(engine.url) for name, engine in engines.items()}
    yield opened
    for engine in opened.values():
        await engine.dispose()


def orders(pair: Pair) -> int:
    with connect(pair.west) as connection:
        return int(
            connection.execute(
                "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone"
            ).fetchone()[0]
        )


def test_sqlalchemy(
    postgresql: Pair, engines: dict[str, Engine], examples: dict[str, Any], kept: str
) -> None:
    examples["pay"](kept, Account, Order, **engines)
    assert postgresql.cents() == [990, 1000]
    assert orders(postgresql) == 1


async def test_sqlalchemy_for_asyncio(
    postgresql: Pair, async_engines: dict[str, AsyncEngine], examples: dict[str, Any], kept: str
) -> None:
    await examples["pay_soon"](kept, Account, Order, **async_engines)
    assert postgresql.cents() == [990, 1000]
    assert orders(postgresql) == 1


class Opening:
    """Has what a pool of psycopg has."""

    def __init__(self, url: str) -> None:
        self._url = url

    def getconn(self) -> Any:
        return psycopg.connect(self._url)

    def putconn(self, connection: Any) -> None:
        connection.close()


def test_dbapi(postgresql: Pair, examples: dict[str, Any], kept: str) -> None:
    urls = postgresql.urls
    examples["move"](kept, *urls.values(), *map(Opening, urls.values()))
    assert postgresql.moved() == 10


def test_django(
    in_postgresql: Pair,
    in_mariadb: Pair,
    postgresql: Pair,
    examples: dict[str, Any],
    kept: str,
    tmp_path: Path,
) -> None:
    set_up(in_postgresql, in_mariadb, tmp_path / "here.db")
    forget()
    accounts = model()
    with override_settings(RINGFENCE={**examples["RINGFENCE"], "DECISIONS": kept, "NAME": new_name()}):
        examples["transfer"](accounts, models.F)
        forget()
        connections.close_all()
    assert postgresql.moved() == 10


@cache
def model() -> Any:
    """A model of Django, which knows each of them once."""
    meta = type("Meta", (), {"app_label": "bank", "db_table": "account", "managed": False})
    return type(
        "BankAccount", (models.Model,), {"__module__": __name__, "Meta": meta, "cents": models.IntegerField()}
    )
