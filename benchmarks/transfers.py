"""The work that all ways of transactions are measured by: two updates in two databases, by one client or by many."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

ROWS = 2000
MANY = 16
OPERATIONS = {1: 20, MANY: 160}
"""How many transactions one pass holds, by the number of clients."""

UPDATE = "UPDATE account SET balance = balance + %s WHERE id = %s"
TABLE = "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)"
FILL = f"""
    INSERT INTO account WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS - 1})
    SELECT i, 0 FROM n"""

Transaction = Callable[[], object]


def row() -> int:
    """Return a row at random."""
    return random.randrange(ROWS)


def passes(transaction: Transaction, clients: int, threads: ThreadPoolExecutor) -> Callable[[], None]:
    """Return what runs the transactions of one pass, divided among the clients."""
    share = OPERATIONS[clients] // clients

    def client(_: int = 0) -> None:
        for _ in range(share):
            transaction()

    def work() -> None:
        list(threads.map(client, range(clients)))

    return client if clients == 1 else work


def processor_time(transaction: Transaction, count: int = 20, rounds: int = 7) -> float:
    """Return the seconds of processor time that one transaction takes in this process: the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            transaction()
        best = min(best, (time.process_time() - start) / count)
    return best
