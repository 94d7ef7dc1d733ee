"""How many syncs the log takes for threads that decide at once."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.log import Log

CLIENTS = 16
EACH = 25


class Clients:
    """Threads that put decisions one after another; each sync lasts until all others wait for the next, or are done."""

    def __init__(self, store: FileDecisions) -> None:
        self.store = store
        self.groups: list[int] = []
        self.answers: list[Outcome] = []
        self._done: list[int] = []
        self._append = Log.append

    def run(self) -> None:
        threads = [threading.Thread(target=self._client, args=(client,)) for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)

    def append(self, log: Log, records: Sequence[str]) -> None:
        self.groups.append(len(records))
        self._append(log, records)

    def sync(self) -> None:
        end = time.monotonic() + 60
        while len(self.store._turns._next.records) + self.groups[-1] + len(self._done) < CLIENTS:
            assert time.monotonic() < end
            time.sleep(0.0005)

    def _client(self, client: int) -> None:
        try:
            for number in range(1, EACH + 1):
                gid = f"main.1.{client * EACH + number}"
                self.answers.append(self.store.put_if_absent(gid, Outcome.COMMITTED))
        finally:
            self._done.append(client)


def test_sixteen_clients_take_less_than_a_fifth_of_a_sync_for_each_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileDecisions(tmp_path / "decisions")
    store.begin_epoch("main")
    clients = Clients(store)
    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", lambda log, records: clients.append(log, records))
        patch.setattr(Disk, "sync", lambda disk, name: clients.sync())
        clients.run()
    assert clients.answers == [Outcome.COMMITTED] * (CLIENTS * EACH)
    assert len(list(store.decisions())) == sum(clients.groups) == CLIENTS * EACH
    store.close()
    assert len(clients.groups) < 0.2 * CLIENTS * EACH


def test_many_decisions_of_one_caller_take_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileDecisions(tmp_path / "decisions")
    syncs = []
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "sync", lambda disk, name: syncs.append(name))
        store.put_many([(f"main.1.{number}", Outcome.ABORTED) for number in range(1, 10_001)])
    assert syncs == ["00000001.log"]
    store.close()
