"""A node as registrants write it down: JSON with its name, weight and zone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ringfence.errors import InvalidType, InvalidValue, StoreDamaged
from ringfence.placement.node import Node


def dump(node: Node, **more: Any) -> str:
    """Return the text of a node, with more fields beside it."""
    return json.dumps(asdict(node) | more)


def load(text: str | bytes, place: str) -> tuple[Node, dict[str, Any]]:
    """Return the node of a text, and all fields that stand there; `place` names it in an error.

    Raises:
        StoreDamaged: it is not what `dump` writes. Fields that it does not know are left alone.
    """
    try:
        fields = json.loads(text)
        return Node(fields["name"], fields["weight"], fields["zone"]), fields
    except (ValueError, KeyError, TypeError, InvalidType, InvalidValue) as error:
        raise StoreDamaged(f"{place} is no registered node ({error!r}): {text[:200]!r}; remove it") from error
