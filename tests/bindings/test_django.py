"""`atomic` over several databases of Django."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction
from django.test.utils import override_settings

from ringfence.bindings.django import atomic, manager
from ringfence.bindings.django.configured import forget
from ringfence.errors import Aborted, InDoubt, InvalidValue, OutcomeUnknown
from ringfence.transactions import Outcome

from .pairs import Pair, new_name
from .shop import run, set_up

TIMES = 10


@pytest.fixture(scope="session")
def django(in_postgresql: Pair, in_mariadb: Pair, tmp_path_factory: pytest.TempPathFactory) -> None:
    set_up(in_postgresql, in_mariadb, tmp_path_factory.mktemp("django") / "here.db")


@pytest.fixture
def shop(django: None, postgresql: Pair, mariadb: Pair, decisions: str) -> Iterator[Pair]:
    """Django, with a manager and connections of the test's own; and what its first two databases hold."""
    with override_settings(RINGFENCE={"DECISIONS": decisions, "NAME": new_name(), "TIMEOUT": 2.0}):
        yield postgresql
        forget()
        connections.close_all()


def move(cents: int = 10) -> None:
    run("default", f"UPDATE account SET cents = cents - {cents}")
    run("other", f"UPDATE account SET cents = cents + {cents}")


def test_commit_and_roll_back(shop: Pair) -> None:
    for _ in range(3):
        with atomic("default", "other") as tx:
            move()
        assert manager().outcome(tx.gid) is Outcome.COMMITTED
        with suppress(LookupError), atomic("default", "other"):
            move(500)
            raise LookupError
    assert shop.moved() == 30
    assert connections["default"].get_autocommit()


def test_as_a_decorator_and_over_two_kinds_of_servers(shop: Pair, mariadb: Pair) -> None:
    @atomic("default", "maria")
    def buy() -> None:
        run("default", "UPDATE account SET cents = 1")
        run("maria", "UPDATE account SET cents = 2")

    buy()
    assert (shop.cents()[0], mariadb.cents()[1]) == (1, 2)


@pytest.mark.parametrize("alias", ["default", "maria"])
def test_an_error_that_is_swallowed_never_commits_half(shop: Pair, mariadb: Pair, alias: str) -> None:
    for _ in range(TIMES):
        with pytest.raises(Aborted), atomic("default", "other", "maria"):
            spoil(alias)
    assert shop.moved() == 0
    assert mariadb.cents() == [1000, 1000]


def spoil(alias: str) -> None:
    move()
    run("maria", "UPDATE account SET cents = 0")
    with suppress(DatabaseError):
        run(alias, "SELECT * FROM missing")


def test_savepoints_and_blocks_inside(shop: Pair) -> None:
    with atomic("default", "other"):
        move()
        for alias in ("default", "other"):
            with suppress(DatabaseError), transaction.atomic(using=alias):
                run(alias, "UPDATE account SET cents = 0")
                run(alias, "SELECT * FROM missing")
        with suppress(LookupError), atomic("other", "default"):
            move(500)
            raise LookupError
        with atomic("default") as inner:
            run("default", "UPDATE account SET cents = cents - 5")
        run("other", "UPDATE account SET cents = cents + 5")
    assert shop.moved() == 15
    assert manager().outcome(inner.gid) is Outcome.COMMITTED


def test_what_waits_for_the_commit_runs_after_the_decision(shop: Pair) -> None:
    seen: list[Any] = []
    with atomic("default", "other") as tx:
        move()
        for alias in ("default", "other"):
            transaction.on_commit(lambda: seen.append((shop.moved(), manager().outcome(tx.gid))), using=alias)
    assert seen == [(10, Outcome.COMMITTED)] * 2
    with suppress(LookupError), atomic("default", "other"):
        transaction.on_commit(lambda: seen.append("never"), using="other")
        raise LookupError
    assert len(seen) == 2


def test_a_connection_that_broke_after_the_decision_is_replaced(shop: Pair) -> None:
    seen: list[int] = []

    def put(gid: str, outcome: Outcome) -> Outcome:
        standing = manager_put(gid, outcome)
        connections["other"].connection.close()
        return standing

    manager_put = manager().decisions.put_if_absent
    manager().decisions.put_if_absent = put  # type: ignore[method-assign]
    with atomic("default", "other"):
        move()
        transaction.on_commit(lambda: seen.append(shop.moved()), using="other")
    assert seen == [10]
    assert run("other", "SELECT cents FROM account") == [(1010,)]


def test_in_doubt_and_recovered(shop: Pair) -> None:
    def silent(*_: Any) -> Outcome:
        raise OutcomeUnknown("no answer")

    store = manager().decisions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "put_if_absent", silent)
        with pytest.raises(InDoubt), atomic("default", "other"):
            move()
    assert shop.prepared() == 2
    assert run("other", "SELECT cents FROM account") == [(1000,)]
    said = io.StringIO()
    call_command("ringfence_recover", stdout=said)
    assert "2 rolled back, 0 left" in said.getvalue()
    assert shop.prepared() == 0
    with atomic("default", "other"):
        move()
    assert shop.moved() == 10


def test_recovery_that_leaves_something_says_so(shop: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> list[str]:
        raise OutcomeUnknown("no answer")

    other = manager().participants["other"]
    monkeypatch.setattr(other, "send", lambda *_: None)
    monkeypatch.setattr(other, "recover", unreachable)
    with pytest.raises(CommandError, match="1 could not be resolved"):
        call_command("ringfence_recover", "somebody", stdout=io.StringIO())


def test_rolling_back_one_rolls_back_all(shop: Pair) -> None:
    with atomic("default", "other") as tx:
        move()
        transaction.set_rollback(True, using="other")
    assert shop.moved() == 0
    assert manager().outcome(tx.gid) is Outcome.ABORTED


def test_a_database_in_sqlite_alone(shop: Pair) -> None:
    run("here", "CREATE TABLE IF NOT EXISTS account (cents INTEGER)")
    with atomic("here", "other") as tx:
        run("here", "INSERT INTO account VALUES (5)")
        run("other", "SELECT * FROM account")
    assert run("here", "SELECT count(*) FROM account WHERE cents = 5") == [(1,)]
    assert manager().outcome(tx.gid) is Outcome.COMMITTED


@pytest.mark.parametrize("aliases", [(), ("default", "missing")])
def test_wrong_aliases_are_refused(shop: Pair, aliases: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValue, match="aliases"):
        atomic(*aliases).__enter__()


def test_a_block_inside_a_plain_one_is_refused(shop: Pair) -> None:
    with transaction.atomic(), pytest.raises(InvalidValue, match="already"):
        atomic("default", "other").__enter__()


@pytest.mark.parametrize(
    "wanted", [None, {}, {"DECISIONS": "memory://"}, {"DECISIONS": "x", "NAME": "y", "Z": 1}]
)
def test_wrong_settings_are_refused(django: None, wanted: Any) -> None:
    forget()
    with override_settings(RINGFENCE=wanted), pytest.raises(InvalidValue, match="RINGFENCE"):
        manager()


async def test_from_asyncio(shop: Pair) -> None:
    @sync_to_async
    def buy() -> None:
        with atomic("default", "other"):
            move()
        connections.close_all()

    await buy()
    assert shop.moved() == 10


def test_the_settings_are_those_of_the_tests(django: None) -> None:
    assert set(settings.DATABASES) == {"default", "other", "maria", "here"}
