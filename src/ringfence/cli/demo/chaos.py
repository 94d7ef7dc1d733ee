"""Let writers and the rebalancer work side by side, and kill one of them again and again at random moments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from ringfence.cli.demo.place import Place
from ringfence.cli.demo.process import REBALANCER, WRITERS, Worker

PAUSE = 0.2
"""Seconds that a worker gets to go on, at most, once it was seen at work."""

EARLY = 0.3
"""The part of the kills that strike a life at its very start, while it recovers what the one before left."""

PATIENCE = 120.0
"""Seconds that the rebalancer may take when nobody kills it any more."""


def torment(place: Place, kills: int, random: Random, advance: Callable[[int], None]) -> list[Worker]:
    """Kill a worker `kills` times; then let the rebalancer get to its end, and kill the writers once more.

    Every second victim is the rebalancer, as long as there is something to move.

    Args:
        place: where the shards are.
        kills: how many.
        random: decides whom and when.
        advance: called after each kill.

    Returns:
        The workers, all dead.

    Raises:
        WorkerFailed: a worker ended by an error of its own.
    """
    with crew(place, random) as (rebalancer, *writers):
        for turn in range(kills):
            moving = turn % 2 == 0 and rebalancer.running()
            victim = rebalancer if moving else random.choice(writers)
            victim.await_lines(1 if random.random() < EARLY else 2)
            time.sleep(random.uniform(0, PAUSE))
            victim.kill()
            victim.start(random.getrandbits(32))
            advance(1)
        rebalancer.finish(PATIENCE)
        for writer in writers:
            writer.kill()
        return [rebalancer, *writers]


@contextmanager
def crew(place: Place, random: Random) -> Iterator[list[Worker]]:
    """Start all workers, and leave none behind."""
    workers: list[Worker] = []
    try:
        for name in (REBALANCER, *WRITERS):
            worker = Worker(place, name)
            worker.start(random.getrandbits(32))
            workers.append(worker)
        yield workers
    finally:
        for worker in workers:
            worker.end()
