"""`atomic` over several databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from django.db import connections, transaction

from ringfence.bindings.django.configured import manager
from ringfence.bindings.notes import Notes
from ringfence.errors import InvalidValue
from ringfence.transactions import Transaction, TransactionManager

_at_work: ContextVar[Mapping[str, Transaction]] = ContextVar("_at_work", default=MappingProxyType({}))


@contextmanager
def atomic(*aliases: str) -> Iterator[Transaction]:
    """Run the block, or the decorated function, in one transaction over the databases `aliases`.

    Leaving it normally commits on all of them; leaving it by an exception rolls back on all. Inside, `using` chooses
    the database as ever, `django.db.transaction.atomic` and this one make savepoints, and what `on_commit` is given
    runs once the transaction is decided. `set_rollback(True, using=…)` on one of them rolls back all.

    Yields:
        The transaction: `tx.gid` for `manager().outcome`, `tx.guard(lease)`.

    Raises:
        Aborted: on leaving: nothing happened, it may be run again.
        InDoubt: on leaving: not known here and now; recovery will tell.
        InvalidValue: no alias, one that is unknown, or one that is in a transaction of its own already.
    """
    _check(aliases)
    outer = _at_work.get()
    with _savepoints(aliases, outer) if outer.keys() >= set(aliases) else _outermost(aliases) as tx:
        yield tx


def _check(aliases: tuple[str, ...]) -> None:
    unknown = [alias for alias in aliases if alias not in connections]
    if not aliases or unknown:
        raise InvalidValue(f"atomic() takes aliases of DATABASES, {', '.join(connections)}, not {aliases!r}")


@contextmanager
def _savepoints(aliases: tuple[str, ...], at_work: Mapping[str, Transaction]) -> Iterator[Transaction]:
    """Inside of another block on these databases, which is the one that ends the transaction."""
    with ExitStack() as stack:
        for alias in aliases:
            stack.enter_context(transaction.atomic(using=alias))
        yield at_work[aliases[0]]


@contextmanager
def _outermost(aliases: tuple[str, ...]) -> Iterator[Transaction]:
    for alias in aliases:
        if connections[alias].in_atomic_block:
            raise InvalidValue(
                f"database {alias!r} is in a transaction already; begin this one outside of it"
            )
    tm = manager()
    cut: list[Any] = []
    with ExitStack() as stack:
        for alias in aliases:
            stack.enter_context(transaction.atomic(using=alias))
        tx = tm.transaction()
        for alias in aliases:
            stack.callback(_release, tm, tx.gid, alias, cut)
        stack.enter_context(tx)
        stack.enter_context(_working(dict.fromkeys(aliases, tx)))
        for alias in aliases:
            stack.enter_context(_branch(tm, tx, alias))
        yield tx
        committed = not any(connections[alias].needs_rollback for alias in aliases)
        if not committed:
            _roll_back(tx, aliases)
    for connection, hooks in cut if committed else ():
        connection.run_on_commit = hooks
        connection.run_and_clear_commit_hooks()


@contextmanager
def _working(at_work: dict[str, Transaction]) -> Iterator[None]:
    token = _at_work.set({**_at_work.get(), **at_work})
    try:
        yield
    finally:
        _at_work.reset(token)


@contextmanager
def _branch(tm: TransactionManager, tx: Transaction, alias: str) -> Iterator[None]:
    """Make the open connection of a database a branch, whose statements are noted until the end of the block."""
    connection = connections[alias]
    participant: Any = tm.participants[alias]
    participant.lend(tx.gid, connection.connection, _ignore)
    notes: Notes = tx[alias].notes

    def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        with notes.of(str(sql)):
            return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


def _roll_back(tx: Transaction, aliases: tuple[str, ...]) -> None:
    """Somebody asked for that on one of the databases: all follow."""
    tx.rollback()
    for alias in aliases:
        connections[alias].set_rollback(True)


def _release(tm: TransactionManager, gid: str, alias: str, cut: list[Any]) -> None:
    """The connection is Django's again; one that broke, or on which something may be left, is dropped."""
    connection = connections[alias]
    participant: Any = tm.participants[alias]
    participant.take_back(gid)
    if connection.connection is not None and not participant.is_open(connection.connection):
        cut.append((connection, connection.run_on_commit))
        connection.close()


def _ignore(_: bool) -> None:
    """Django knows when its connections are in use no more."""
