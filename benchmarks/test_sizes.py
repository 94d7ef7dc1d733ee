"""Every placement from 10 to 10,000 nodes: the table and the plots of docs/algorithms.md.

A look-up may grow with the number of nodes only by what memory costs: a few keys asked again and again, whose memory is
near, are as fast on a large ring as on a small one.
"""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.sizes import COUNTS, FEW, HOT, MAKERS, measured, names, one_by_one
from ringfence import _core

pytestmark = pytest.mark.skipif(_core.IMPLEMENTATION != "c", reason="figures of the compiled core")


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", MAKERS)
def test_a_placement(benchmark: Any, name: str, count: int) -> None:
    placement = MAKERS[name](names(count))
    benchmark.pedantic(one_by_one, (placement, FEW), rounds=25, warmup_rounds=1)
    one_key = benchmark.stats.stats.median / len(FEW)
    benchmark.extra_info["placement"] = measured(name, count) | {"one_key": one_key}


def hot(name: str, count: int) -> Callable[[], None]:
    placement = MAKERS[name](names(count))

    def work() -> None:
        for _ in range(50):
            one_by_one(placement, HOT)

    return work


@pytest.mark.parametrize("name", ["HashRing", "Maglev", "AnchorHash", "MultiProbe"])
def test_hot_keys_cost_the_same_on_a_thousand_times_the_nodes(race: Any, name: str) -> None:
    race(
        f"{name}, hot keys, 10,000 nodes / 10",
        hot(name, 10_000),
        hot(name, 10),
        operations=50 * len(HOT),
        at_most=1.5,
    )
