"""SQLAlchemy 2: a `Session` over several engines that commits on all of them or on none, and recovers.

    east, west = create_engine(EAST), create_engine(WEST)
    tm = TransactionManager("sqlite:///decisions.db", {"east": participant(east), "west": participant(west)})
    with Session(manager=tm, binds={Account: east, Order: west}) as session, session.begin():
        session.add(Order(account=1))
        session.get(Account, 1).cents -= 10

Only public events of SQLAlchemy are used: a connection that a session begins to use becomes a branch (`after_begin`),
and the session's first COMMIT, sent after all is flushed, runs the protocol for all of its branches (`commit`).
"""

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401
except ImportError as error:
    from ringfence.errors import BackendUnavailable

    raise BackendUnavailable("this needs SQLAlchemy 2; install ringfence[sqlalchemy]") from error

from ringfence.bindings.sqlalchemy.engines import participant
from ringfence.bindings.sqlalchemy.session import AsyncSession, Session

__all__ = ["AsyncSession", "Session", "participant"]
