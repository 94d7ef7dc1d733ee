"""A process that moves money for ever, and dies with the process that started it. Run with a job as JSON."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

UPDATE = "UPDATE account SET balance = balance + {} WHERE id = {}"
INSERT = "INSERT INTO transfer VALUES ({}, {})"
PATIENCE = 2.0
"""Seconds to wait for other transactions."""


@dataclass
class Job:
    """What to do.

    Attributes:
        kind: with what: "ringfence" or "sqlalchemy".
        name: of the coordinator.
        urls: of the databases, by name.
        decisions: where decisions are kept, for ringfence.
        accounts: how many each database has.
        log: where each transfer is noted that was told to be done.
        seed: of all that is random.
    """

    kind: str
    name: str
    urls: dict[str, str]
    decisions: str
    accounts: int
    log: str
    seed: int


class Move(NamedTuple):
    """What a transfer does in one place."""

    place: str
    account: int
    amount: int


class Transfer(NamedTuple):
    """Money that moves."""

    label: str
    moves: tuple[Move, ...]

    @property
    def places(self) -> str:
        """Where it happens."""
        return ",".join(move.place for move in self.moves)


def transfers(job: Job) -> Iterator[Transfer]:
    """Transfers without end, between two places or all three; always in the same order, against deadlocks."""
    draw = random.Random(job.seed)
    for number in range(sys.maxsize):
        places = sorted(draw.sample(sorted(job.urls), draw.choice((2, 2, 3))))
        amounts = [draw.randint(1, 5) for _ in places[1:]]
        moves = zip(places, [-sum(amounts), *amounts], strict=True)
        yield Transfer(
            f"{job.name}-{os.getpid()}-{number}",
            tuple(Move(place, draw.randrange(job.accounts), amount) for place, amount in moves),
        )


def by_ringfence(job: Job, until: ExitStack) -> Callable[[Transfer], None]:
    """As the documentation says: recover at start, and after each error."""
    from ringfence import TransactionManager

    tm = until.enter_context(TransactionManager(job.decisions, job.urls, name=job.name, timeout=PATIENCE))
    tm.recover()

    def do(transfer: Transfer) -> None:
        with tm.transaction() as tx:
            for place, account, amount in transfer.moves:
                tx[place].execute(UPDATE.format("%s", "%s"), (amount, account))
                tx[place].execute(INSERT.format("%s", "%s"), (transfer.label, transfer.places))

    return do


def by_sqlalchemy(job: Job, until: ExitStack) -> Callable[[Transfer], None]:
    """As its documentation says."""
    import sqlalchemy
    from sqlalchemy.orm import Session

    engines: dict[str, Any] = {}
    for place, url in job.urls.items():
        scheme, _, rest = url.partition("://")
        if scheme == "postgresql":
            more = {"options": f"-c lock_timeout={PATIENCE * 1000:.0f}"}
            engines[place] = sqlalchemy.create_engine(f"postgresql+psycopg://{rest}", connect_args=more)
        else:
            more = {"init_command": f"SET innodb_lock_wait_timeout = {PATIENCE:.0f}"}
            engines[place] = sqlalchemy.create_engine(f"mariadb+pymysql://{rest}", connect_args=more)
        until.callback(engines[place].dispose)
    update = sqlalchemy.text(UPDATE.format(":amount", ":account"))
    insert = sqlalchemy.text(INSERT.format(":label", ":places"))

    def do(transfer: Transfer) -> None:
        with Session(twophase=True) as session:
            for place, account, amount in transfer.moves:
                bind = {"bind": engines[place]}
                session.execute(update, {"amount": amount, "account": account}, bind_arguments=bind)
                told = {"label": transfer.label, "places": transfer.places}
                session.execute(insert, told, bind_arguments=bind)
            session.commit()

    return do


KINDS = {"ringfence": by_ringfence, "sqlalchemy": by_sqlalchemy}


def work(job: Job) -> None:
    """Move money until killed; begin anew after each error."""
    log = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    ahead = transfers(job)
    while True:
        try:
            with ExitStack() as until:
                do = KINDS[job.kind](job, until)
                for transfer in ahead:
                    do(transfer)
                    os.write(log, f"{transfer.label}\n".encode())
        except Exception as error:
            print(f"{job.name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)
            time.sleep(0.05)


def die_with_parent() -> None:
    """End as soon as nobody holds the other end of the standard input."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=die_with_parent, daemon=True).start()
    work(Job(**json.loads(sys.argv[1])))
