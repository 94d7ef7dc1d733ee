"""A bank over two databases of PostgreSQL and one of MariaDB, while everything is killed at random.

`RINGFENCE_BANK_SECONDS=300 python -m pytest tests/transactions/faults/test_bank.py` does it for minutes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from random import Random

import pytest

from ringfence.errors import Aborted, InDoubt, StoreError
from ringfence.testing.servers import MariaDB, PostgreSQL
from ringfence.testing.servers.fixtures import PrivateServers
from ringfence.testing.servers.single import SingleServer
from ringfence.transactions import TransactionManager

from ..children import Child, Say
from .stores import PATIENCE, MariaStores, PostgresStores, Stores

SECONDS = float(os.environ.get("RINGFENCE_BANK_SECONDS", "15"))
MONEY = 1000
TELLERS = ("anna", "bert", "carl")


class Bank:
    """Three accounts, and what was moved between them; `east` has the decisions, too."""

    def __init__(self, postgresql: PostgreSQL, mariadb: MariaDB) -> None:
        east, north = PostgresStores(postgresql), MariaStores(mariadb)
        self.stores: dict[str, Stores] = {"east": east, "north": north, "west": east}
        self.urls = {name: stores.url(name) for name, stores in self.stores.items()}
        for name, stores in self.stores.items():
            stores.run(name, "CREATE TABLE account (balance INTEGER)")
            stores.run(name, "CREATE TABLE moved (gid VARCHAR(100) PRIMARY KEY)")
            stores.run(name, f"INSERT INTO account VALUES ({MONEY})")

    @contextmanager
    def manager(self, teller: str, timeout: float = 1.0) -> Iterator[TransactionManager]:
        """A teller's manager."""
        with TransactionManager(self.urls["east"], self.urls, name=teller, timeout=timeout) as tm:
            yield tm

    def tell(self, teller: str, seed: int, say: Say) -> None:
        """Move money until the end, and say the gid of each move that was acknowledged."""
        random = Random(seed)
        while True:
            with suppress(Aborted, InDoubt, StoreError), self.manager(teller) as tm:
                tm.recover()
                while True:
                    self.move(tm, random, say)

    def move(self, tm: TransactionManager, random: Random, say: Say) -> None:
        amount, names = random.randint(1, 9), random.sample(sorted(self.urls), 2)
        with suppress(Aborted):
            with tm.transaction() as tx:
                for name in sorted(names):
                    change = amount if name == names[0] else -amount
                    tx[name].execute(f"UPDATE account SET balance = balance + {change}")
                    tx[name].execute(f"INSERT INTO moved VALUES ('{tx.gid}')")
            say(f"{tx.gid}\n".encode())

    def take_over(self, teller: str, say: Say) -> None:
        """Recover in the name of a teller who may be alive."""
        with suppress(StoreError), self.manager(teller) as tm:
            tm.recover()

    def check(self, acknowledged: set[str]) -> int:
        """Recover in all names; then the money is there, and every move is on two of the accounts or on none."""
        for teller in TELLERS:
            with self.manager(teller, PATIENCE) as tm:
                first, second = tm.recover(), tm.recover()
                assert not first.unresolved, first
                assert (second.resolved, second.unresolved, tm.heuristics()) == ([], [], [])
                left = [participant.recover(f"{teller}.") for participant in tm.participants.values()]
                assert left == [[], [], []]
        balances = [self.stores[name].run(name, "SELECT balance FROM account")[0][0] for name in self.urls]
        moved = [gid for name in self.urls for (gid,) in self.stores[name].run(name, "SELECT gid FROM moved")]
        assert sum(balances) == len(balances) * MONEY
        assert {moved.count(gid) for gid in moved} == {2}
        assert acknowledged <= set(moved)
        return len(moved) // 2


class Chaos:
    """Kills and stops tellers and servers."""

    def __init__(self, bank: Bank, servers: list[SingleServer], until: ExitStack) -> None:
        self.bank = bank
        self.servers = servers
        self.random = Random(1)
        self.acknowledged: set[str] = set()
        self.count = 0
        self._until = until
        self._working: dict[str, Child] = {}
        for teller in TELLERS:
            self.start(teller)

    def start(self, teller: str) -> None:
        """Let a teller begin, again."""
        child = Child(partial(self.bank.tell, teller, self.random.getrandbits(32)))
        self._until.callback(child.close)
        self._working[teller] = child

    def strike(self) -> None:
        """Do one thing that nobody wants."""
        self.count += 1
        teller = self.random.choice(TELLERS)
        self.random.choice((self.kill, self.kill, self.stop, self.kill_server))(teller)

    def kill(self, teller: str) -> None:
        """Kill a teller; another begins in that name."""
        self.end(teller)
        self.start(teller)

    def stop(self, teller: str) -> None:
        """Stop a teller, take over from it, and let it go on."""
        child = self._working[teller]
        os.kill(child.pid, signal.SIGSTOP)
        assert child.wait() == "stopped"
        other = Child(partial(self.bank.take_over, teller))
        self._until.callback(other.close)
        other.wait()
        os.kill(child.pid, signal.SIGCONT)
        child.state = "running"

    def kill_server(self, _: str) -> None:
        """Kill a server, and start it again."""
        server = self.random.choice(self.servers)
        server.kill()
        server.start()

    def end(self, teller: str) -> None:
        """Kill a teller, and hear what it said."""
        child = self._working[teller]
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == "killed"
        self.acknowledged.update(child.said.decode().splitlines())


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_money_is_conserved_while_everything_is_killed(private_server: PrivateServers) -> None:
    postgresql, mariadb = private_server(PostgreSQL()), private_server(MariaDB())
    bank = Bank(postgresql, mariadb)
    with ExitStack() as until:
        chaos = Chaos(bank, [postgresql, mariadb], until)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(chaos.random.uniform(0.1, 0.6))
            chaos.strike()
        for teller in TELLERS:
            chaos.end(teller)
        for stores in bank.stores.values():
            stores.left_alone()
        moves = bank.check(chaos.acknowledged)
        print(f"{moves} moves, {len(chaos.acknowledged)} of them acknowledged, and {chaos.count} strikes")
        assert moves > 0
