"""What locks accept as names and times; everything else is refused before any I/O."""

from __future__ import annotations

from ringfence.errors import InvalidType, InvalidValue

SHORTEST = 0.01
LONGEST = 86_400.0
_BYTES = 255


def check_name(name: object) -> str:
    """Return the name of a lock: a string of 1 to 255 bytes in UTF-8, without NUL.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: it is empty, too long, or no text.
    """
    if not isinstance(name, str):
        raise InvalidType(f"the name of a lock is a str, not {name!r}")
    if not 1 <= len(name.encode("utf-8", "replace")) <= _BYTES:
        raise InvalidValue(f"the name of a lock has 1 to {_BYTES} bytes in UTF-8; this one is {name[:40]!r}")
    if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InvalidValue(f"the name of a lock is text without NUL or surrogates, not {name!r}")
    return name


def check_ttl(ttl: object) -> float:
    """Return a time to live in seconds, from 10 ms to a day: a lease always ends.

    Raises:
        InvalidType: it is not a number.
        InvalidValue: it is out of these bounds, infinite or NaN.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise InvalidType(f"ttl is a number of seconds, not {ttl!r}; a lease without an end cannot be had")
    if not SHORTEST <= ttl <= LONGEST:
        raise InvalidValue(
            f"ttl is from {SHORTEST} to {LONGEST:.0f} seconds, not {ttl!r}; long work is kept by renewal"
        )
    return float(ttl)


def check_seconds(what: str, seconds: object, longest: float = LONGEST) -> float:
    """Return a span of time in seconds.

    Args:
        what: the name of the argument.
        seconds: its value.
        longest: how long it may be.

    Raises:
        InvalidType: it is not a number.
        InvalidValue: it is shorter than 10 ms, longer than may be, or NaN.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidType(f"{what} is a number of seconds, not {seconds!r}")
    if not SHORTEST <= seconds <= longest:
        raise InvalidValue(f"{what} is from {SHORTEST} to {longest:.0f} seconds, not {seconds!r}")
    return float(seconds)


def check_timeout(blocking: object, timeout: object) -> float | None:
    """Return how long to wait, in seconds: 0 asks once, None waits for ever.

    Raises:
        InvalidType: `blocking` is not a bool, or `timeout` neither None nor a number.
        InvalidValue: the timeout is negative or NaN, or given although nothing shall be waited for.
    """
    if not isinstance(blocking, bool):
        raise InvalidType(f"blocking is True or False, not {blocking!r}; a time to wait is given as timeout=")
    if timeout is None:
        return None if blocking else 0.0
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise InvalidType(f"timeout is a number of seconds or None, not {timeout!r}")
    if not timeout >= 0:
        raise InvalidValue(f"timeout is 0 or more seconds, not {timeout!r}; None waits for ever")
    if not blocking:
        raise InvalidValue(f"blocking=False does not wait; leave timeout={timeout!r} out")
    return float(timeout)
