"""`python -m ringfence.testing`: play schedules of the simulator, or one again with all its steps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ringfence.testing.network import Violation
from ringfence.testing.schedule import play
from ringfence.testing.switches import SWITCHES
from ringfence.testing.workloads import WORKLOADS


def main(argv: Sequence[str] | None = None) -> int:
    """Play the schedules asked for; 0 when every oracle is content, 1 at the first violation."""
    asked = _parser().parse_args(argv)
    for seed in range(asked.seed, asked.seed + asked.count):
        try:
            play(asked.workload, seed, asked.off, print if asked.trace else None)
        except Violation as violation:
            print(f"VIOLATION: {violation}")
            return 1
    print(f"{asked.count} of {asked.count} schedules of {asked.workload} are as they should be")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ringfence.testing", description=__doc__)
    parser.add_argument("--workload", required=True, choices=sorted(WORKLOADS), help="what the processes do")
    parser.add_argument("--seed", type=int, required=True, help="the schedule, or the first of them")
    parser.add_argument("--count", type=int, default=1, help="how many schedules (default: 1)")
    parser.add_argument("--off", choices=sorted(SWITCHES), metavar="RULE", help=_rules())
    parser.add_argument("--trace", action="store_true", help="print every step")
    return parser


def _rules() -> str:
    return "play without this safety rule: " + ", ".join(sorted(SWITCHES))


if __name__ == "__main__":
    sys.exit(main())
