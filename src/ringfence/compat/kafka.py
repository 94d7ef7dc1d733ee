"""The partitions of Kafka's producers: those of the Java client and of librdkafka."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ringfence._core.digests import digest
from ringfence.compat._arguments import integer, one_of
from ringfence.errors import InvalidType, InvalidValue


def partition(key: bytes | None, partitions: int, partitioner: str = "murmur2") -> int:
    """Return the partition that a record with this key goes to.

    - `murmur2` is the default of the Java client (`clients/.../common/utils/Utils.java`), and librdkafka's of that
      name; `murmur2_random` is the same but for a key of None.
    - `consistent` is CRC-32; `consistent_random`, the default of librdkafka and so of confluent-kafka, is the same but
      for an empty key or None.
    - `fnv1a` is FNV-1a with 32 bits, made positive as Sarama does; `fnv1a_random` the same but for None.

    Those of librdkafka follow 2.16.0, `src/rdkafka_msg.c`, `rdmurmur2.c` and `rdfnv1a.c`.

    Args:
        key: the serialised key; None stands for a record without one.
        partitions: how many the topic has.
        partitioner: one of the above.

    Raises:
        InvalidType: a key that is not bytes, `partitions` that is no int.
        InvalidValue: an unknown partitioner, `partitions` less than 1, or a key that this partitioner gives to any
            partition, by chance.
    """
    if key is not None and not isinstance(key, bytes):
        raise InvalidType(f"key must be bytes, as it was serialised, not {type(key).__name__}: {key!r}")
    number = one_of("partitioner", partitioner, _PARTITIONERS)
    partitions = integer("partitions", partitions, 1, (1 << 31) - 1)
    if (key is None and partitioner.endswith("_random")) or (not key and partitioner == "consistent_random"):
        raise InvalidValue(f"the partitioner {partitioner} puts the key {key!r} anywhere, by chance")
    return number(key or b"") % partitions


def _murmur2(key: bytes) -> int:
    return digest("murmur2", key, 0x9747_B28C) & 0x7FFF_FFFF


def _fnv1a(key: bytes) -> int:
    h = digest("fnv1a_unsigned", key)
    return h if h < 1 << 31 else (1 << 32) - h


_PARTITIONERS: dict[str, Callable[[bytes], int]] = {
    "murmur2": _murmur2,
    "murmur2_random": _murmur2,
    "consistent": zlib.crc32,
    "consistent_random": zlib.crc32,
    "fnv1a": _fnv1a,
    "fnv1a_random": _fnv1a,
}
