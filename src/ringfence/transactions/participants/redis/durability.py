"""What a Redis says of its own durability."""

from __future__ import annotations

from typing import Any

from ringfence.errors import StoreError
from ringfence.protocol import Call, Effects

SETTINGS = {"appendonly": "yes", "appendfsync": "always"}
"""What makes a Redis write to its disk before it answers."""


def shortcoming(server: Any) -> Effects[str | None]:
    """Why what this Redis has acknowledged may be lost in a power failure or a failover, or evicted; None if it cannot.

    Raises:
        BackendUnavailable: the server cannot be reached.
        OutcomeUnknown: no answer.
    """
    try:
        found = (yield from _settings(server, "append*")) | (yield from _settings(server, "maxmemory*"))
        replicas = (yield Call(server, "ask", ("INFO", "replication"))).get("connected_slaves", 0)
    except StoreError as error:
        if type(error) is not StoreError:
            raise
        return f"it does not tell its settings: {error}"
    for name, value in SETTINGS.items():
        if found.get(name) != value:
            return f"{name} is {found.get(name)!r}, not {value!r}"
    if found.get("maxmemory") != "0" and found.get("maxmemory-policy", "").startswith("allkeys"):
        return f"maxmemory-policy {found['maxmemory-policy']} evicts keys that are written to last"
    if replicas:
        return f"one of its {replicas} replicas may take its place without what it has acknowledged last"
    return None


def _settings(server: Any, pattern: str) -> Effects[dict[str, str]]:
    found = yield Call(server, "ask", ("CONFIG", "GET", pattern))
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
