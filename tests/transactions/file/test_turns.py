"""Group commit by itself: who writes, who waits, and whose turn it is when somebody is interrupted."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ringfence.transactions.decisions.file.turns import Group, Turns


class Writer:
    """Writes groups, each only when it is let."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def write(self, records: Sequence[str]) -> None:
        self.groups.append(list(records))
        self.begun.release()
        assert self.let.acquire(timeout=60)


class Interrupted(threading.Condition):
    """Who is woken first is interrupted."""

    interrupted = False

    def wait(self, timeout: float | None = None) -> bool:
        answer = super().wait(timeout)
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        return answer


def start(turns: Turns, name: str, ended: list[str]) -> threading.Thread:
    group = turns.add(name)

    def finish() -> None:
        try:
            turns.finish(group)
        except KeyboardInterrupt:
            ended.append("interrupted")
        else:
            ended.append(name)

    thread = threading.Thread(target=finish)
    thread.start()
    return thread


def waiting(turns: Turns, count: int) -> bool:
    changed: Any = turns._next.changed
    return changed is not None and len(changed._waiters) == count


def test_who_is_interrupted_when_it_is_his_turn_hands_it_on() -> None:
    writer, ended = Writer(), list[str]()
    group = Turns(writer.write)
    threads = [start(group, "first", ended)]
    assert writer.begun.acquire(timeout=60)
    group._next.changed = Interrupted(group._turn)
    threads += [start(group, name, ended) for name in ("second", "third")]
    while not waiting(group, 2):
        time.sleep(0.001)
    writer.let.release(2)
    for thread in threads:
        thread.join(60)
    assert writer.groups == [["first"], ["second", "third"]]
    assert sorted(ended)[:2] == ["first", "interrupted"]
    assert len(ended) == 3


def test_what_nobody_waits_for_is_written_in_the_end() -> None:
    written: list[str] = []
    group = Turns(written.extend)
    group.add("one")
    group.add("two")
    group.write_all()
    assert written == ["one", "two"]


def test_an_interrupt_before_the_next_group_is_there_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    turns = Turns(written.extend)
    group = turns.add("first")

    def lead(group: Group, me: int) -> None:
        group.leader = me
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(turns, "_lead_or_follow", lead)
        with pytest.raises(KeyboardInterrupt):
            turns.finish(group)
    assert isinstance(group.error, KeyboardInterrupt)
    later = turns.add("second")
    turns.finish(later)
    assert (written, later.error) == (["second"], None)
