"""Live membership for tasks."""

import asyncio
import uuid

import pytest

from ringfence.aio import Membership
from ringfence.errors import InvalidValue
from ringfence.placement.membership import StaticSource


def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


async def test_changes_arrive_by_async_for() -> None:
    async with Membership.from_url(url(), debounce=0) as membership:
        changes = membership.changes()
        registration = await membership.register("a", ttl=60)
        async with asyncio.timeout(60):
            old, new, diff = await anext(changes)
        assert (old.nodes, new.nodes, diff.fraction) == ((), ("a",), 1.0)
        assert membership.ring is new
        assert membership.epoch == 1
        assert membership.error is None
        assert membership.age < 60
        assert membership.suspicion("a") == 0
        assert membership.suspects() == ()
        await membership.leave(registration)
        assert not registration.active


async def test_iterators_end_when_it_is_closed() -> None:
    source = StaticSource(["a"])
    async with Membership(source, debounce=0) as membership:
        waiting = [asyncio.create_task(all_of(membership)) for _ in range(10)]
        await asyncio.sleep(0)
        changes = membership.changes()
        source.replace(["b"])
        async with asyncio.timeout(60):
            assert (await anext(changes)).new.nodes == ("b",)
    async with asyncio.timeout(60):
        assert await asyncio.gather(*waiting) == [["b"]] * 10


async def all_of(membership: Membership) -> list[str]:
    return ["".join(change.new.nodes) async for change in membership.changes()]


async def test_a_waiting_task_can_be_cancelled() -> None:
    async with Membership(StaticSource(["a"])) as membership:
        changes = membership.changes()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(changes)


async def test_it_must_be_opened() -> None:
    membership = Membership(StaticSource(["a"]))
    with pytest.raises(InvalidValue, match="async with"):
        membership.ring  # noqa: B018
    await membership.close()
