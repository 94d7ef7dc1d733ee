"""The engine, with a toy store and toy programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.protocol import Call, Effects, Now, Parallel, Sleep
from ringfence.testing.faults import CALM, Faults
from ringfence.testing.network import CONNECTED, LOCAL, RELIABLE, Route, Violation
from ringfence.testing.simulator import Process, Simulation


class Counter:
    """A toy store: adding is not idempotent, so that doubling shows."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int) -> int:
        self.value += amount
        return self.value

    def fail(self) -> None:
        raise ValueError("no")


def adding(counter: Counter, times: int, heard: list[Any]) -> Callable[[Process], Effects[None]]:
    def program(process: Process) -> Effects[None]:
        for _ in range(times):
            try:
                heard.append((yield Call(counter, "add", (1,))))
            except (OutcomeUnknown, StoreTimeout) as error:
                heard.append(type(error))
            yield Sleep(0.01)

    return program


Played = tuple[Counter, list[Any], Simulation, list[str]]


def played(seed: int, faults: Faults | None = CALM, programs: int = 1, times: int = 20) -> Played:
    counter = Counter()
    heard: list[Any] = []
    lines: list[str] = []
    simulation = Simulation(seed, faults, trace=lines.append)
    for index in range(programs):
        simulation.spawn(f"p{index}", adding(counter, times, heard), recovery=adding(counter, 1, heard))
    simulation.run()
    simulation.close()
    return counter, heard, simulation, lines


def test_a_calm_world_delivers_everything_once() -> None:
    counter, heard, _, _ = played(1)
    assert counter.value == 20
    assert heard == list(range(1, 21))


def test_the_same_seed_gives_the_same_run_step_for_step() -> None:
    for seed in range(50):
        assert played(seed, None, 3)[3] == played(seed, None, 3)[3]


def test_other_seeds_give_other_runs() -> None:
    assert len({tuple(played(seed, None, 3)[3]) for seed in range(50)}) == 50


def test_a_lost_request_is_never_carried_out() -> None:
    counter, heard, _, _ = played(1, Faults(lose_request=1.0))
    assert counter.value == 0
    assert set(heard) == {OutcomeUnknown, StoreTimeout}


def test_a_lost_reply_is_of_a_request_that_was_carried_out() -> None:
    counter, heard, _, _ = played(1, Faults(lose_reply=1.0))
    assert counter.value == 20
    assert set(heard) == {OutcomeUnknown}


def test_a_doubled_request_is_carried_out_twice() -> None:
    counter, heard, _, _ = played(1, Faults(double=1.0))
    assert counter.value == 40
    assert len(heard) == 20


def test_a_delayed_request_may_arrive_after_its_sender_gave_up() -> None:
    counter, heard, _, _ = played(1, Faults(delay=1.0))
    assert counter.value == 20
    assert OutcomeUnknown in heard
    assert any(isinstance(answer, int) for answer in heard)


def always(route: Route, call: Call) -> Route:
    return route


def test_routes_say_what_can_happen_to_a_request() -> None:
    for route, faults in (
        (CONNECTED, Faults(double=0.5, delay=0.5)),
        (RELIABLE, Faults(lose_request=0.5, lose_reply=0.5)),
    ):
        counter = Counter()
        heard: list[Any] = []
        simulation = Simulation(1, faults, routes=partial(always, route))
        simulation.spawn("p", adding(counter, 20, heard))
        simulation.run()
        assert counter.value == 20
        assert heard == list(range(1, 21))


def test_a_cut_link_loses_or_delays_everything_until_it_is_mended() -> None:
    _, heard, simulation, lines = played(1, Faults(cut=0.3), times=200)
    assert simulation.counts["cut"] > 0
    assert {OutcomeUnknown, StoreTimeout} & set(heard)
    assert isinstance(heard[-1], int), "in the end it is calm"
    first = next(index for index, line in enumerate(lines) if line.endswith("cut"))
    fate = next(line for line in lines[first + 1 :] if "carried out" not in line)
    assert any(lost in fate for lost in ("lose request", "lose reply", "delay"))


def test_nothing_goes_wrong_with_a_process_that_is_spared() -> None:
    counter = Counter()
    heard: list[Any] = []
    simulation = Simulation(1, Faults(0.2, 0.2, 0.2, 0.2, 0.1, 0.2, 0.2))
    simulation.spawn("p", adding(counter, 50, heard)).spared = True
    simulation.run()
    assert heard == list(range(1, 51))


def test_what_is_local_is_done_and_answered_in_one_event() -> None:
    counter = Counter()
    heard: list[Any] = []
    lines: list[str] = []
    simulation = Simulation(1, CALM, routes=partial(always, LOCAL), trace=lines.append)
    simulation.spawn("p", adding(counter, 3, heard))
    simulation.run()
    assert heard == [1, 2, 3]
    assert [line.split()[2] for line in lines] == ["done"] * 3


def test_a_crashed_process_performs_no_cleanup() -> None:
    counter, reached = Counter(), []

    def program(process: Process) -> Effects[None]:
        try:
            yield Sleep(1.0)
        finally:
            reached.append("cleanup")
            yield Call(counter, "add", (1,))

    simulation = Simulation(1, CALM)
    process = simulation.spawn("p", program)
    simulation.after(0.5, simulation.crash, process)
    simulation.run()
    assert reached == []
    simulation.close()
    assert counter.value == 0


def test_a_crashed_process_starts_again_with_its_recovery_and_hears_no_old_reply() -> None:
    counter = Counter()
    heard: list[Any] = []

    def recovery(process: Process) -> Effects[None]:
        heard.append("recovery")
        yield Sleep(0.1)

    simulation = Simulation(3, CALM)
    process = simulation.spawn("p", adding(counter, 1000, heard), recovery)
    simulation.after(0.0, simulation.crash, process)
    simulation.run()
    simulation.close()
    assert counter.value == 1, "the request was on its way, and arrives"
    assert heard == ["recovery"]
    assert process.incarnation == 1


def test_a_paused_process_stands_still_while_its_clock_runs_on() -> None:
    times = []

    def program(process: Process) -> Effects[None]:
        for _ in range(2):
            times.append((yield Now()))
            yield Sleep(0.1)

    simulation = Simulation(1, CALM)
    process = simulation.spawn("p", program)
    simulation.after(0.05, simulation.pause, process, 3.0)
    simulation.run()
    assert times == [0.0, 3.05]


def test_clocks_differ_within_the_stated_bounds() -> None:
    simulation = Simulation(1, Faults(offset=10.0, drift=0.02))
    clocks = [simulation.spawn(f"p{index}", adding(Counter(), 1, [])).clock for index in range(100)]
    before = [clock() for clock in clocks]
    assert 5.0 < max(before) <= 10.0
    assert -10.0 <= min(before) < -5.0
    simulation.clock.advance(100.0)
    gained = [clock() - start - 100.0 for clock, start in zip(clocks, before, strict=True)]
    assert 1.0 < max(gained) <= 2.0 + 1e-9
    assert -2.0 - 1e-9 <= min(gained) < -1.0


def test_parallel_answers_in_order_with_exceptions_in_their_place() -> None:
    counter, answers = Counter(), []

    def program(process: Process) -> Effects[None]:
        answers.append((yield Parallel((Call(counter, "fail"), Call(counter, "add", (5,))))))
        answers.append((yield Parallel(())))

    simulation = Simulation(1, CALM)
    simulation.spawn("p", program)
    simulation.run()
    (failed, added), nothing = answers
    assert isinstance(failed, ValueError)
    assert (added, nothing) == (5, [])


def test_parallel_requests_arrive_in_any_order() -> None:
    orders = set()
    for seed in range(30):
        arrived: list[int] = []

        class Store:
            def put(self, value: int) -> None:
                arrived.append(value)  # noqa: B023

        def program(process: Process, store: Store = Store()) -> Effects[None]:  # noqa: B008
            yield Parallel(tuple(Call(store, "put", (value,)) for value in range(3)))

        simulation = Simulation(seed, CALM)
        simulation.spawn("p", program)
        simulation.run()
        orders.add(tuple(arrived))
    assert len(orders) == 6


def test_a_program_that_fails_is_a_violation() -> None:
    def program(process: Process) -> Effects[None]:
        yield Call(Counter(), "fail")

    simulation = Simulation(1, CALM)
    simulation.spawn("broken", program)
    with pytest.raises(Violation, match="broken failed: ValueError: no"):
        simulation.run()


def test_a_schedule_without_end_is_a_violation() -> None:
    def program(process: Process) -> Effects[None]:
        while True:
            yield Sleep(0.1)

    simulation = Simulation(1, CALM)
    simulation.spawn("endless", program)
    with pytest.raises(Violation, match="no end after"):
        simulation.run()


def test_crashes_and_pauses_happen_at_the_rate_asked_for() -> None:
    struck = [played(seed, Faults(crash=0.1, pause=0.1), 2)[2].counts for seed in range(50)]
    assert sum(counts["crash"] for counts in struck) > 50
    assert sum(counts["pause"] for counts in struck) > 50
    assert all(counts["restart"] == counts["crash"] for counts in struck)
