"""Nodes that are listed in a JSON or YAML file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.errors import BackendUnavailable, InvalidValue, RingfenceError
from ringfence.placement.arguments import nodes_in_order
from ringfence.placement.node import Node

_UNITS = ("", "k", "m", "g", "t", "p", "e")
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)
_FIELDS = {"name", "weight", "zone", "size"}


@dataclass(frozen=True, slots=True)
class Listed:
    """Nodes that were read.

    Attributes:
        nodes: with weights and zones.
        sizes: the bytes on a node, for those where they are said.
    """

    nodes: list[Node]
    sizes: dict[str, int] = field(default_factory=dict)


def size(text: str) -> int:
    """Return a number of bytes: `5000`, `5kB` (5,000) or `5KiB` (5,120).

    Raises:
        InvalidValue: it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise InvalidValue(f"the size {text!r} is not a number of bytes like 5000000, 5MB or 5MiB")
    number, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** _UNITS.index(unit.lower())
    return round(float(number) * factor) if "." in number else int(number) * factor


def read(path: Path) -> Listed:
    """Return the nodes of a file.

    Raises:
        BackendUnavailable: the file is YAML, and PyYAML is not installed.
        InvalidValue: there is no such file, or what it holds are no nodes; the error names the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidValue(f"the nodes {str(path)!r} cannot be read: {error.strerror}") from None
    return parse(path, data)


def parse(path: Path, data: bytes) -> Listed:
    """Return the nodes of a file that holds `data`; raises what `read` does.

    The file is a list of names, a mapping of names to weights, or a list of `{name, weight, zone, size}`, in JSON
    (`*.json`) or YAML (`*.yaml`, `*.yml`).
    """
    parse_text = parser(path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidValue(f"the nodes {str(path)!r} are not UTF-8") from None
    try:
        return _listed(parse_text(text))
    except BackendUnavailable:
        raise
    except RingfenceError as error:
        raise InvalidValue(f"{path}: {error}") from error


def parser(path: Path) -> Callable[[str], Any]:
    """Return what reads a file of this name; raise `InvalidValue` if nothing does."""
    parsers = {".json": _json, ".yaml": _yaml, ".yml": _yaml}
    if path.suffix.lower() not in parsers:
        raise InvalidValue(f"a file of nodes is named *.json, *.yaml or *.yml, not {str(path)!r}")
    return parsers[path.suffix.lower()]


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except InvalidValue:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"this is not JSON: {error}") from None


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise BackendUnavailable(
            "YAML is read by PyYAML, which is not installed: pip install 'ringfence[cli]', or use JSON"
        ) from None

    class Loader(yaml.SafeLoader):
        """Refuses what PyYAML takes silently: a mapping that has a key twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            named = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
            keys = [self.construct_object(key, deep) for key in named]
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            _refuse_twins(keys)
            return mapping

    try:
        return yaml.load(text, Loader)
    except InvalidValue:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date of a 13th month is a ValueError
        raise InvalidValue(f"this is not YAML: {error}") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twins([name for name, _ in pairs])
    return dict(pairs)


def _refuse_twins(keys: list[Any]) -> None:
    [(most, times)] = Counter(keys).most_common(1) or [(None, 0)]
    if times > 1:
        raise InvalidValue(f"{most!r} stands there twice")


def _listed(content: Any) -> Listed:
    match content:
        case dict():
            return Listed([Node(name, weight) for name, weight in content.items()])
        case list():
            nodes = list(nodes_in_order(_node(entry) for entry in content))
            pairs = zip(nodes, content, strict=True)
            sizes = {node.name: _size(one) for node, one in pairs if isinstance(one, dict) and "size" in one}
            return Listed(nodes, sizes)
    raise InvalidValue(f"nodes are a list or a mapping of names to weights, not {content!r}")


def _node(entry: Any) -> Node:
    if not isinstance(entry, dict):
        return Node(entry)
    if unknown := sorted(map(str, entry.keys() - _FIELDS)):
        raise InvalidValue(f"a node has a name, weight, zone and size, but no {unknown[0]!r}: {entry!r}")
    if "name" not in entry:
        raise InvalidValue(f"a node has no name: {entry!r}")
    return Node(entry["name"], entry.get("weight", 1.0), entry.get("zone"))


def _size(entry: dict[str, Any]) -> Any:
    return size(entry["size"]) if isinstance(entry["size"], str) else entry["size"]
