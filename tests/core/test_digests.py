"""The hashes of bytes, against their own libraries, the slow and obvious, and each twin against the other."""

import hashlib
import zlib
from binascii import crc_hqx
from collections.abc import Callable
from types import SimpleNamespace

import mmh3
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ringfence._core.digests import KINDS
from ringfence.errors import InvalidType, InvalidValue, RingfenceError

LENGTHS = [*range(301), 511, 512, 513, 1023, 1024, 1025, 1087, 1088, 1089, 2048, 2049, 5000]
SEEDED = ("murmur3", "murmur3_java", "murmur2", "murmur2_64a", "xxh64")


def text_of(length: int) -> bytes:
    return bytes((i * 167 + length) % 256 for i in range(length))


ORACLES: dict[str, Callable[[bytes], int]] = {
    "murmur3": lambda data: mmh3.mmh3_x64_128_utupledigest(data, 0)[0],
    "xxh64": xxhash.xxh64_intdigest,
    "xxh3": xxhash.xxh3_64_intdigest,
    "md5": lambda data: int(hashlib.md5(data).hexdigest()[:16], 16),
    "md5_low": lambda data: int(hashlib.md5(data).hexdigest()[16:], 16),
    "md5_word": lambda data: int.from_bytes(hashlib.md5(data).digest()[:4], "little"),
    "sha1": lambda data: int(hashlib.sha1(data).hexdigest()[:16], 16),
    "crc16_xmodem": lambda data: crc_hqx(data, 0),
    "crc32a": zlib.crc32,
    "crc32": lambda data: zlib.crc32(data) >> 16 & 0x7FFF,
}


@pytest.mark.parametrize("name", ORACLES)
def test_every_length_as_the_library_has_it(core: SimpleNamespace, name: str) -> None:
    for length in LENGTHS:
        data = text_of(length)
        assert core.digests.digest(name, data) == ORACLES[name](data), length


@pytest.mark.parametrize("name", KINDS)
def test_the_twins_agree_on_every_length(twins: dict[str, SimpleNamespace], name: str) -> None:
    seed = 0x9747_B28C if name in SEEDED else 0
    for length in LENGTHS:
        data = text_of(length)
        assert len({twin.digests.digest(name, data, seed) for twin in twins.values()}) == 1, length


CRC32C = [  # RFC 3720, appendix B.4, and the check value of the polynomial
    (b"123456789", 0xE306_9283),
    (b"", 0),
    (bytes(32), 0x8A91_36AA),
    (b"\xff" * 32, 0x62A8_AB43),
    (bytes(range(32)), 0x46DD_794E),
    (bytes(range(31, -1, -1)), 0x113F_DB5C),
]


@pytest.mark.parametrize(("data", "checksum"), CRC32C, ids=range(len(CRC32C)))
def test_crc32c_as_in_the_rfc(core: SimpleNamespace, data: bytes, checksum: int) -> None:
    assert core.digests.digest("crc32c", data) == checksum


@given(data=st.binary(max_size=300), name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32 - 1))
def test_the_twins_agree(twins: dict[str, SimpleNamespace], data: bytes, name: str, seed: int) -> None:
    assert len({twin.digests.digest(name, data, seed) for twin in twins.values()}) == 1


@given(data=st.binary(max_size=70))
def test_the_murmur3_of_java_is_the_common_one_but_for_bytes_with_a_sign_at_the_end(
    core: SimpleNamespace, data: bytes
) -> None:
    tail = data[len(data) // 16 * 16 :]
    same = core.digests.digest("murmur3_java", data) == core.digests.digest("murmur3", data)
    assert same or not tail.isascii()


def test_a_byte_with_a_sign_at_the_end_counts(core: SimpleNamespace) -> None:
    data = b"ends in \xff"
    assert core.digests.digest("murmur3_java", data) != core.digests.digest("murmur3", data)


@given(data=st.binary(max_size=70), seed=st.integers(0, 2**32 - 1))
def test_murmur2(core: SimpleNamespace, data: bytes, seed: int) -> None:
    assert core.digests.digest("murmur2", data, seed) == obvious_murmur2(data, seed)


def obvious_murmur2(data: bytes, seed: int) -> int:
    """Byte by byte, as the original's comments have it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = seed ^ len(data)
    while len(data) >= 4:
        k = data[0] | data[1] << 8 | data[2] << 16 | data[3] << 24
        k = k * m & mask
        k ^= k >> 24
        k = k * m & mask
        h = (h * m & mask) ^ k
        data = data[4:]
    if len(data) == 3:
        h ^= data[2] << 16
    if len(data) >= 2:
        h ^= data[1] << 8
    if len(data) >= 1:
        h = (h ^ data[0]) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_text_and_ints_stand_for_their_bytes(core: SimpleNamespace) -> None:
    for name in KINDS:
        assert core.digests.digest(name, "é") == core.digests.digest(name, "é".encode())
        assert core.digests.digest(name, 513) == core.digests.digest(name, b"\x01\x02" + bytes(6))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("md4", b"a"), InvalidValue, "'md4'"),
        (("md5", None), InvalidType, "NoneType"),
        (("md5", -1), InvalidValue, "-1"),
        (("md5", "\ud800"), InvalidValue, "surrogates"),
        (("md5", b"a", -1), InvalidValue, "seed"),
    ],
)
def test_bad_arguments(
    core: SimpleNamespace, arguments: tuple[object, ...], error: type[RingfenceError], says: str
) -> None:
    with pytest.raises(error, match=says):
        core.digests.digest(*arguments)
