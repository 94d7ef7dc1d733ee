"""What may go wrong in a schedule, and how often.

Each schedule draws its own mix ("swarm testing", Groce et al., ISSTA 2012): some kinds of fault are missing
altogether, so that one kind cannot hide what another would have shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances of each fault, as a fraction of the effects it can strike; the bounds of clocks in seconds.

    Attributes:
        lose_request: a request never arrives; the sender hears nothing, or that nothing happened.
        lose_reply: a request is carried out, and the sender hears nothing.
        double: a request is carried out twice, the second time maybe much later.
        delay: a request arrives late, maybe after the sender gave up on it.
        cut: no request between a process and a target arrives in time for a while.
        crash: a process stops at once, and starts again later with its recovery program.
        pause: a process stands still, maybe for longer than any lease, and runs on.
        offset: most seconds a process's clock is ahead or behind.
        drift: most seconds a second a process's clock is too fast or too slow.
        messages: the chance that anything happens to a message; it follows from the others.
    """

    lose_request: float = 0.0
    lose_reply: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    cut: float = 0.0
    crash: float = 0.0
    pause: float = 0.0
    offset: float = 0.0
    drift: float = 0.0
    messages: float = field(init=False)

    def __post_init__(self) -> None:
        happens = self.lose_request + self.lose_reply + self.double + self.delay + self.cut
        object.__setattr__(self, "messages", happens)

    @classmethod
    def drawn(cls, random: Random) -> Faults:
        """A mix for one schedule."""
        return cls(
            lose_request=_sometimes(random, 0.12),
            lose_reply=_sometimes(random, 0.12),
            double=_sometimes(random, 0.15),
            delay=_sometimes(random, 0.15),
            cut=_sometimes(random, 0.03),
            crash=_sometimes(random, 0.06),
            pause=_sometimes(random, 0.10),
            offset=_sometimes(random, 100.0),
            drift=_sometimes(random, 0.02),
        )


CALM = Faults()
"""Nothing goes wrong."""


def _sometimes(random: Random, most: float) -> float:
    return random.uniform(0.0, most) if random.random() < 0.5 else 0.0
