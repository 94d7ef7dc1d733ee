"""Deciding, packing, asking of old decisions, and proving, all at once."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import DecisionLog, FileDecisions

CLIENTS = 6
EACH = 60


def test_everything_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    told: dict[str, Outcome] = {}
    over = threading.Event()

    def decide(client: int) -> None:
        for number in range(EACH):
            gid = f"main.1.{number * CLIENTS + client + 1}"
            told[gid] = store.put_if_absent(gid, Outcome.ABORTED if number % 9 == 0 else Outcome.COMMITTED)

    def ask() -> None:
        while not over.is_set():
            for gid, outcome in list(told.copy().items())[::7]:
                assert store.get(gid) is outcome

    def prove() -> None:
        while not over.is_set():
            before = list(told.copy())[-50:]
            log = DecisionLog(tmp_path / "log")
            checkpoint = log.checkpoint()
            for gid in before[::9]:
                log.prove(gid).check(checkpoint)
            DecisionLog(tmp_path / "log").check(checkpoint)

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
            over.set()

    with closing(FileDecisions(tmp_path / "log", segment=512)) as store:
        store.begin_epoch("main")
        others = [threading.Thread(target=run, args=(work,)) for work in (ask, prove)]
        clients = [threading.Thread(target=run, args=(lambda n=n: decide(n),)) for n in range(CLIENTS)]
        for thread in [*others, *clients]:
            thread.start()
        for thread in clients:
            thread.join(120)
        over.set()
        for thread in others:
            thread.join(120)
        assert not any(thread.is_alive() for thread in [*clients, *others])
        assert not failures
        assert dict(store.decisions()) == told
        assert len(told) == CLIENTS * EACH
    assert len(list((tmp_path / "log").glob("*.pack"))) > 15
