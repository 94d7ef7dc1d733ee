"""`ringfence ring lookup`: the owner of each key."""

from __future__ import annotations

import argparse
import json
import sys

from ringfence.cli.ring import keys, options
from ringfence.errors import InvalidValue
from ringfence.placement import HashRing

EXAMPLES = f"""{keys.HELP}

examples:
  ringfence ring lookup a b c --keys keys.txt
  printf 'user:1\\nuser:2\\n' | ringfence ring lookup --nodes nodes.json --replicas 2 --json
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `lookup`."""
    parser = options.add_parser(
        commands, "lookup", "write each key and the node that owns it, separated by a tab", EXAMPLES
    )
    parser.add_argument(
        "--keys", default="-", metavar="FILE", help="where the keys are (default: standard input)"
    )
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="write N nodes in order of preference"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='write a line {"key": …, "nodes": […]} for each key; they must be UTF-8',
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Answer batch by batch."""
    ring = options.ring(given)
    head, tails = (_json_head, JsonTails(ring)) if given.json else (_raw, Tails(ring))
    with keys.batches(given.keys, shown=not sys.stdout.isatty()) as batches:
        for batch in batches:
            rows = map(tuple, ring.replicas_many(batch, given.replicas).tolist())
            sys.stdout.buffer.write(
                b"".join([head(key) + tails[row] for key, row in zip(batch, rows, strict=True)])
            )
            sys.stdout.buffer.flush()
    return 0


class Tails(dict[tuple[int, ...], bytes]):
    """What stands after a key in its line, by the indices of its nodes; there are at most as many as points."""

    def __init__(self, ring: HashRing) -> None:
        self._nodes = ring.nodes

    def __missing__(self, row: tuple[int, ...]) -> bytes:
        self[row] = tail = self.tail([self._nodes[index] for index in row]).encode()
        return tail

    def tail(self, names: list[str]) -> str:
        """Return the nodes, each after a tab."""
        return "".join(f"\t{name}" for name in names) + "\n"


class JsonTails(Tails):
    """The same for lines of JSON."""

    def tail(self, names: list[str]) -> str:
        """Return the rest of the object."""
        return f', "nodes": {json.dumps(names, ensure_ascii=False)}}}\n'


def _raw(key: bytes) -> bytes:
    return key


def _json_head(key: bytes) -> bytes:
    try:
        return b'{"key": ' + json.dumps(key.decode(), ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise InvalidValue(
            f"the key {key!r} is not UTF-8, so JSON cannot hold it; leave out --json"
        ) from None
