"""The text of a token: short, printable, and refused when it is damaged."""

import pytest

from ringfence import InvalidType, InvalidValue, LockManager
from ringfence.locks.recipes import handover
from ringfence.locks.stores import Claim, Shared
from ringfence.locks.stores.memory import MemoryStore


@pytest.mark.parametrize(
    "text",
    ["", "rf1.", "rf1.AAAA", "rf2.W10", "x", "rf1." + "A" * 200, "rf1.é", "rf1.====", "rf1.W10K\n", "\ud800"],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(InvalidValue, match="token"):
        manager.adopt(text)


def test_a_token_of_another_type_is_refused() -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(InvalidType, match="token"):
        manager.adopt(b"rf1.")  # type: ignore[arg-type]


CLAIM = Claim("x", "owner-1", 7, 10.0, 3)


def test_a_token_is_short_and_survives_any_shell() -> None:
    text = handover.written(handover.Token(CLAIM, True, "b" * 35, 12345678901234567))
    assert len(text) < 200
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize("name", ["x", "ü/∞ c", Shared("permits", 1, 5)])
def test_a_token_says_what_was_written(name: str) -> None:
    token = handover.Token(CLAIM._replace(name=name), False, "baton", 9)
    read = handover.read(handover.written(token))
    assert read == token
    assert type(read.claim.name) is type(name)
    assert getattr(read.claim.name, "of", None) == getattr(name, "of", None)


def test_every_damaged_token_is_refused() -> None:
    text = handover.written(handover.Token(CLAIM, True, "baton", 9))
    for at in range(len(text)):
        for damaged in (text[:at], text[:at] + "A" + text[at + 1 :], text[:at] + text[at + 1 :]):
            if damaged != text:
                with pytest.raises(InvalidValue):
                    handover.read(damaged)


@pytest.mark.parametrize(
    "said",
    ["[]", "{}", "7", '[["x"],"o",-1,10.0,0,true,"b",1]', '[["x"],"o",1,1e9,0,true,"b",1]', "[" * 5000],
)
def test_a_whole_token_that_says_nonsense_is_refused(said: str) -> None:
    with pytest.raises(InvalidValue):
        handover.read(handover.encoded(said.encode()))


class SessionBound(MemoryStore):
    session_bound = True


def test_a_store_whose_leases_end_with_their_process_is_refused() -> None:
    with LockManager(SessionBound()) as manager, manager.lock("x") as lease:
        with pytest.raises(InvalidValue, match="session"):
            lease.to_token()
        assert lease.valid
        with pytest.raises(InvalidValue, match="session"):
            manager.adopt(handover.written(handover.Token(CLAIM, True, "baton", 9)))
