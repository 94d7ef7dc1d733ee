"""Packing and parsing, without a server."""

import pytest

from ringfence.errors import StoreError, StoreTimeout
from ringfence.locks.stores.redis import requests
from ringfence.locks.stores.redis.scripts import GRANT
from ringfence.locks.stores.redis.wire import (
    Pushed,
    Refusal,
    Replies,
    checked,
    is_unknown_script,
    lease_key,
    untag,
    whole,
)

STREAM = (
    b":217598876927846\r\n-NOSCRIPT No matching script.\r\n$5\r\na\r\nbc\r\n$-1\r\n_\r\n+OK\r\n"
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$6\r\no 12 3\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n%1\r\n$1\r\na\r\n:-1\r\n"
    b"=8\r\ntxt:a:1\n\r\n"
)
REPLIES = [
    217598876927846,
    "NOSCRIPT No matching script.",
    b"a\r\nbc",
    None,
    None,
    b"OK",
    [b"message", b"c", b"o 12 3"],
    [b"0", [b"k"]],
    [b"a", -1],
    b"txt:a:1\n",
]


def test_replies_are_the_same_wherever_the_stream_is_cut() -> None:
    for cut in range(1, len(STREAM)):
        replies = Replies()
        assert replies.feed(STREAM[:cut]) + replies.feed(STREAM[cut:]) == REPLIES


def test_replies_come_byte_by_byte() -> None:
    replies = Replies()
    found = [reply for at in range(len(STREAM)) for reply in replies.feed(STREAM[at : at + 1])]
    assert found == REPLIES
    assert [type(found[at]) for at in (1, 6)] == [Refusal, Pushed]


@pytest.mark.parametrize("name", ["x", "ü/∞ c", "}", "a}b{c}", "%7D", "50%", "{", "*?[a]"])
def test_a_key_has_its_lock_s_name_in_one_hash_tag(name: str) -> None:
    key = lease_key(name)
    assert untag(key) == name
    hashed = key[key.index("{") + 1 : key.index("}")]  # as Redis Cluster finds it
    assert hashed
    assert key == f"ringfence:{{{hashed}}}:lease"


def test_a_request_without_the_script_s_text_can_be_sent_again_with_it() -> None:
    request = requests.grant("x", "me", 1.5, 32)
    assert GRANT.text.encode() not in request
    assert request.startswith(b"*11\r\n$7\r\nEVALSHA\r\n$40\r\n" + GRANT.sha.encode())
    again = whole(request)
    assert again.startswith(b"*11\r\n$4\r\nEVAL\r\n$%d\r\n" % len(GRANT.text.encode()))
    assert again.endswith(request[request.index(b"$1\r\n3\r\n") :])


def test_what_a_refusal_means() -> None:
    assert is_unknown_script(Refusal("NOSCRIPT No matching script."))
    assert not is_unknown_script(b"NOSCRIPT")
    assert checked(7) == 7
    with pytest.raises(StoreTimeout, match="LOADING"):
        checked(Refusal("LOADING Redis is loading the dataset in memory"))
    with pytest.raises(StoreError, match="OOM") as refused:
        checked(Refusal("OOM command not allowed"))
    assert not isinstance(refused.value, StoreTimeout)
