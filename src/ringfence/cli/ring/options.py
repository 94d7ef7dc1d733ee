"""What the commands below `ringfence ring` have in common: how the ring and its change are named."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from ringfence.cli.ring import nodes
from ringfence.errors import InvalidValue
from ringfence.placement import HashRing, Migration, Node, key_hash

Commands = argparse._SubParsersAction

NODES = """A node is a name, or a name and a weight: a=2.5. A file of nodes is JSON (*.json) or YAML (*.yaml, *.yml):
a list of names, a mapping of names to weights, or a list of {name, weight, zone, size}."""


@dataclass(frozen=True, slots=True)
class Change:
    """Two rings.

    Attributes:
        migration: what moves between them.
        sizes: the bytes on each node of the old one, where they were given.
    """

    migration: Migration
    sizes: dict[str, int] | None


def add_parser(
    commands: Commands[argparse.ArgumentParser], name: str, words: str, more: str
) -> argparse.ArgumentParser:
    """Add a command that is about a ring.

    Args:
        commands: where to add it.
        name: of the command.
        words: what it does, in a line.
        more: what to say below its options: how keys are given, and examples.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=f"{NODES}\n\n{more}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("node", nargs="*", metavar="NODE", help="a node of the ring: NAME or NAME=WEIGHT")
    parser.add_argument("--nodes", type=Path, metavar="FILE", help="take the nodes from a JSON or YAML file")
    parser.add_argument(
        "--vnodes", type=int, default=160, metavar="N",
        help="points of a node of weight 1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the points (default: 0)")
    parser.add_argument(
        "--hash", default="murmur3", choices=key_hash.NAMED, help="of the keys (default: %(default)s)"
    )
    return parser


def add_change(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the ring after a change."""
    change = parser.add_argument_group("the change").add_argument
    change(
        "--add", action="append", default=[], metavar="NODE", help="add NAME or NAME=WEIGHT; again for more"
    )
    change("--remove", action="append", default=[], metavar="NAME", help="remove a node; again for more")
    change("--weight", action="append", default=[], metavar="NAME=W", help="give a node another weight")
    change("--to", type=Path, metavar="FILE", help="take the nodes after the change from a file instead")
    change(
        "--size", action="append", default=[], metavar="NAME=BYTES",
        help="what a node holds now, as 5000000 or 5MB; give it for every node to have bytes estimated",
    )  # fmt: skip


def ring(options: argparse.Namespace) -> HashRing:
    """Return the ring that the options name.

    Raises:
        InvalidValue: no nodes, nodes both as arguments and in a file, or a file that is wrong.
    """
    return HashRing(_listed(options).nodes, vnodes=options.vnodes, seed=options.seed, hash=options.hash)


def change(options: argparse.Namespace) -> Change:
    """Return the change that the options name.

    Raises:
        InvalidValue: besides what `ring` raises, a wrong weight or size, or both a file and single changes.
        UnknownNode: a node is to be changed or removed that is not there.
    """
    old = ring(options)
    given = _listed(options).sizes | {name: nodes.size(text) for name, text in map(nodes.pair, options.size)}
    return Change(old.diff(_changed(old, options)), given or None)


def _listed(options: argparse.Namespace) -> nodes.Listed:
    if options.node and options.nodes:
        raise InvalidValue("nodes are given both as arguments and by --nodes; use one of them")
    if not options.node and not options.nodes:
        raise InvalidValue("there are no nodes; name them (a b=2.5 c), or give a file by --nodes FILE")
    return (
        nodes.read(options.nodes)
        if options.nodes
        else nodes.Listed([nodes.node(text) for text in options.node])
    )


def _changed(old: HashRing, options: argparse.Namespace) -> HashRing:
    if options.to:
        if options.add or options.remove or options.weight:
            raise InvalidValue(
                "--to names all nodes after the change; leave out --add, --remove and --weight"
            )
        return HashRing(nodes.read(options.to).nodes, vnodes=old.vnodes, seed=old.seed, hash=old.hash)
    new = old
    for name in options.remove:
        new = new.without_node(name)
    for name, weight in map(nodes.pair, options.weight):
        new = new.with_weight(name, nodes.weight(weight))
    for text in options.add:
        new = new.with_node(nodes.node(text))
    return new


def ideal(ring: HashRing) -> dict[str, float]:
    """Return which part of the keys each node should have by its weight."""
    members: list[Node] = [ring.node(name) for name in ring.nodes]
    total = sum(node.weight for node in members)
    return {node.name: node.weight / total for node in members}
