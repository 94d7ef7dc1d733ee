"""To test what is built on ringfence: clocks that are moved by hand, and a simulator of everything that goes wrong.

The simulator is the third driver of the protocols, beside threads and asyncio. `python -m ringfence.testing` plays
its schedules; each has a seed, and the same seed plays the same schedule again.
"""

from ringfence.testing.clock import FakeClock, SkewedClock
from ringfence.testing.faults import CALM, Faults
from ringfence.testing.network import ANYTHING, CONNECTED, LOCAL, RELIABLE, Route, Violation
from ringfence.testing.simulator import Process, Simulation

__all__ = [
    "ANYTHING",
    "CALM",
    "CONNECTED",
    "LOCAL",
    "RELIABLE",
    "FakeClock",
    "Faults",
    "Process",
    "Route",
    "Simulation",
    "SkewedClock",
    "Violation",
]
