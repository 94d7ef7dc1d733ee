"""Several requests of one thread are under way at once, where their targets can split sending and receiving."""

from collections.abc import Callable
from typing import Any

import pytest

from ringfence.protocol import Call, Effects, Parallel, run


class Whole:
    def __init__(self, seen: list[str], name: str) -> None:
        self.seen = seen
        self.name = name

    def work(self, number: int) -> int:
        self.seen.append(f"{self.name} {number}")
        if number < 0:
            raise ValueError(number)
        return number


class Split(Whole):
    def send(self, operation: str, *arguments: Any) -> Callable[[], Any] | None:
        if arguments == (0,):
            return None
        if arguments == (13,):
            raise ConnectionError("gone")
        self.seen.append(f"send {self.name}")
        return lambda: getattr(self, operation)(*arguments)


def asked(*calls: Call) -> Effects[Any]:
    return (yield Parallel(calls))


@pytest.fixture
def seen() -> list[str]:
    return []


def test_requests_are_sent_first_and_answers_received_last(seen: list[str]) -> None:
    calls = [Call(kind(seen, kind.__name__), "work", (n,)) for n, kind in enumerate((Split, Whole, Split), 1)]
    assert run(asked(*calls)) == [1, 2, 3]
    assert seen == ["send Split", "send Split", "Whole 2", "Split 1", "Split 3"]


def test_a_request_that_cannot_be_split_is_carried_out_whole(seen: list[str]) -> None:
    split = Split(seen, "it")
    assert run(asked(Call(split, "work", (0,)), Call(split, "work", (1,)))) == [0, 1]
    assert seen == ["send it", "it 0", "it 1"]


def test_errors_stand_for_their_requests_only(seen: list[str]) -> None:
    split, whole = Split(seen, "split"), Whole(seen, "whole")
    answers = run(
        asked(
            *(Call(target, "work", (n,)) for target, n in ((split, 13), (split, -1), (whole, -1), (split, 2)))
        )
    )
    assert [str(answer) for answer in answers] == ["gone", "-1", "-1", "2"]
    assert [type(answer) for answer in answers] == [ConnectionError, ValueError, ValueError, int]
