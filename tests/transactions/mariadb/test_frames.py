"""Where the replies of MariaDB end, whatever pieces they come in."""

from __future__ import annotations

import struct

import pytest

from ringfence._mysql.frames import Replies, Request, script, statement
from ringfence._mysql.session import Answer

OK, MORE = b"\x00\x01\x00\x02\x00\x00\x00", b"\x00\x01\x00\x0a\x00\x00\x00"
EOF, EOF_MORE = b"\xfe\x00\x00\x02\x00", b"\xfe\x00\x00\x0a\x00"
ERROR = b"\xff\x16\x04#23000Duplicate entry"
LONG_OK = b"\x00\xfc\xff\xff\xfd\x01\x02\x03\x02\x00\x00\x00"
ONE_COLUMN, COLUMN = b"\x01", b"\x03def" + b"x" * 300
ROW, NULL_ROW, LONG_ROW = b"\x05hello", b"\xfb", b"\xfe" + struct.pack("<Q", 300) + b"y" * 300


def framed(*payloads: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(p) | n << 24) + p for n, p in enumerate(payloads, 1))


RESULT = (ONE_COLUMN, COLUMN, EOF, ROW, NULL_ROW, LONG_ROW, b"")
CASES = [
    (1, (OK,)),
    (1, (LONG_OK,)),
    (1, (ERROR,)),
    (1, (MORE, OK)),
    (1, (MORE, ERROR)),
    (1, (*RESULT, EOF)),
    (1, (*RESULT, EOF_MORE, *RESULT, EOF_MORE, OK)),
    (1, (*RESULT, ERROR)),
    (3, (EOF, MORE, MORE, OK, EOF)),
    (3, (EOF, MORE, ERROR, EOF)),
    (2, (OK, *RESULT, EOF)),
]


@pytest.mark.parametrize(("count", "payloads"), CASES)
def test_the_end_is_seen_with_the_last_byte_and_not_before(count: int, payloads: tuple[bytes, ...]) -> None:
    data = framed(*payloads)
    replies = Replies(count)
    for at in range(len(data)):
        assert not replies.complete
        replies.feed(data[at : at + 1])
    assert replies.complete
    at_once = Replies(count)
    at_once.feed(data)
    assert at_once.complete
    assert bytes(at_once.data) == data


def test_a_packet_that_is_too_long_for_one_goes_on_in_the_next() -> None:
    most = 0xFFFFFF
    long = b"\xfd" + b"z" * (most - 1)
    end = framed(b"rest", EOF)
    data = framed(ONE_COLUMN, COLUMN, EOF) + struct.pack("<I", most) + long + end
    replies = Replies(1)
    replies.feed(data[: -len(end)])
    assert not replies.complete
    replies.feed(end)
    assert replies.complete


def test_requests_are_framed() -> None:
    assert statement("DO 1").encoded() == b"\x05\x00\x00\x00\x03DO 1"
    switched = script("DO 1", "DO 2")
    assert switched.encoded() == (
        b"\x03\x00\x00\x00\x1b\x00\x00" + b"\x0b\x00\x00\x00\x03DO 1; DO 2" + b"\x03\x00\x00\x00\x1b\x01\x00"
    )
    assert (statement("DO 1").replies, switched.replies) == (1, 3)
    for size, packets in ((0xFFFFFD, 1), (0xFFFFFE, 2), (0xFFFFFF, 2)):
        request = Request(b"x" * size)
        assert (len(request.encoded()), request.sequence) == (size + 1 + 4 * packets, packets)


@pytest.mark.parametrize(
    ("message", "wrote"),
    [
        (b"\x00\x0b\x05\x09\x08T_R___S_", False),
        (b"\x00\x0b\x05\x09\x08T___W_S_", True),
        (b"\x00\x0b\x05\x09\x08T__w____", True),
        (b"", True),
        (b"\x00\x00", True),
    ],
)
def test_a_branch_has_written_unless_the_server_says_that_it_has_not(message: bytes, wrote: bool) -> None:
    assert Answer(message=message).wrote is wrote
