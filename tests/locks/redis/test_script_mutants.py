"""Each rule in the scripts is switched off by replacing text, and the test of the suite that is named finds it."""

from collections.abc import Callable, Iterator

import pytest

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.testing.shared_lock import SharedLockSuite
from tests.locks.redis.changed import changed

CLOCK = "local now = (time[1] - 1577836800) * 1000000 + time[2]"
BACKWARD = f"{CLOCK} - redis.call('INCR', 'clock') * 3600000000"

ORDER = "test_waiters_are_granted_the_lock_in_the_order_in_which_they_came"
RENEWED = "test_only_owner_and_fence_together_renew"
RELEASED = "test_only_owner_and_fence_together_release"
SHARES_TOGETHER = "test_only_owner_and_fence_together_renew_and_release_a_share"
GREATER = "test_every_grant_has_a_greater_fence"

FENCE = "math.max(fence + fences, now)"

PLAIN = {
    "a fence is the last one and one more": (
        (FENCE, "fence + fences"),
        "test_fences_go_on_upward_after_a_restart",
    ),
    "owner is compared": (("or owner ~= asking or fence ~=", "or fence ~="), RENEWED),
    "owner is compared in a release": (("or owner ~= asking or fence ~=", "or fence ~="), RELEASED),
    "fence is compared": (("or fence ~= tonumber(ARGV[#ARGV - 1])", ""), RENEWED),
    "fence is compared in a release": (("or fence ~= tonumber(ARGV[#ARGV - 1])", ""), RELEASED),
    "a lease ends": (
        (f"put(now + ttl, {FENCE}, wanted, asking)", f"put(now + 1e15, {FENCE}, wanted, asking)"),
        "test_a_grant_ends_after_its_ttl",
    ),
    "an ended lease is not renewed": (
        ("if till <= now or owner", "if owner"),
        "test_an_ended_lease_cannot_be_renewed",
    ),
    "an ended lease is not released": (
        ("if till <= now or owner", "if owner"),
        "test_releasing_an_ended_lease_says_no",
    ),
    "a renewal never shortens": (
        ("put(math.max(till, now + tonumber(ARGV[1]))", "put((now + tonumber(ARGV[1]))"),
        "test_a_renewal_never_shortens",
    ),
    "first come first served": (("redis.call('LPOP', KEYS[2])", "redis.call('RPOP', KEYS[2])"), ORDER),
    "a place ends": (("kept > now and (first", "(first"), "test_a_waiter_that_died_is_skipped"),
    "a release grants in the same step": (("if not pass_on() then put(0", "do put(0"), ORDER),
    "a lease tells that somebody waits": (("waited = now + 2 * place", "waited = now"), ORDER),
    "newcomers never overtake": (
        ("if not pass_on() then return take() end", "do return take() end"),
        "test_a_newcomer_never_overtakes_after_an_expiry",
    ),
    "a withdrawal frees": (
        ("if till > now and owner == asking then give_back() end", ""),
        "test_withdrawing_frees_whatever_was_granted",
    ),
    "a withdrawal leaves others alone": (
        ("if till > now and owner == asking then give_back", "if till > now then give_back"),
        "test_withdrawing_leaves_others_alone",
    ),
    "a withdrawal leaves the queue": (
        ("if redis.call('HDEL', KEYS[3], asking) == 1 then", "if false then"),
        "test_a_waiter_that_withdrew_never_ends_up_holding",
    ),
    "an owner asks again": (
        ("if till > now and owner == asking then\n", "if false then\n"),
        "test_the_owner_gets_the_same_fence_when_it_asks_again",
    ),
    "asking again keeps the place": (
        (
            "if redis.call('HSETNX', KEYS[3], asking, made(now)) == 1 then",
            "redis.call('LREM', KEYS[2], 0, asking) if redis.call('HSET', KEYS[3], asking, made(now)) then",
        ),
        "test_asking_again_keeps_the_place",
    ),
}
"""Rule: (text in the scripts of plain locks, what stands there when it is off), the test that finds it."""

SHARED = {
    "no more is held than there is": (
        ("and used + wanted <= all then", "then"),
        "test_shares_are_granted_until_all_are_held",
    ),
    "shares count for what they are": (
        ("used + asked\n", "used + 1\n"),
        "test_larger_shares_count_for_what_they_are",
    ),
    "an ended share is taken back": (
        ("'-inf', text(now)", "'-inf', '0'"),
        "test_only_the_shares_of_the_dead_end",
    ),
    "a share that is taken back is free": (
        ("used = used - (asked or 0)", ""),
        "test_a_share_that_was_released_is_free",
    ),
    "fence is compared": (("and fence == tonumber(ARGV[2])", ""), SHARES_TOGETHER),
    "fence is compared in a release": (("and fence == tonumber(ARGV[1])", ""), SHARES_TOGETHER),
    "newcomers never overtake": (
        ("redis.call('LLEN', KEYS[3]) == 0 and used", "used"),
        "test_a_small_share_does_not_overtake_a_large_one",
    ),
    "the first in the queue stops those behind": (
        (
            "> tonumber(of) then return end",
            "> tonumber(of) then redis.call('LPOP', KEYS[3]) return admit() end",
        ),
        "test_a_waiting_writer_stops_new_readers",
    ),
    "as many are admitted as fit": (
        ("    owner = redis.call('LINDEX', KEYS[3], 0)\n", "    owner = false\n"),
        "test_one_release_admits_as_many_as_fit",
    ),
    "a withdrawal frees": (
        ("if share(asking) then take_back(asking) end", ""),
        "test_withdrawing_frees_the_share_of_this_owner_alone",
    ),
    "a withdrawal admits": (
        ("take_back(asking) end\nadmit()\nkeep()\nreturn 0", "take_back(asking) end\nkeep()\nreturn 0"),
        "test_a_writer_that_withdraws_lets_those_behind_it_pass",
    ),
    "a place ends": (
        ("if till <= now or not (owner", "if not (owner"),
        "test_a_writer_that_died_in_the_queue_is_skipped",
    ),
    "a share is renewed to no earlier end": (
        ("put(asking, math.max(till, now + tonumber(ARGV[1]))", "put(asking, (now + tonumber(ARGV[1]))"),
        "test_neither_a_renewal_nor_asking_again_shortens",
    ),
}


class Suite(SharedLockSuite, LockStoreSuite):
    """On a server that is emptied for each test."""

    def __init__(self, server: Redis) -> None:
        self._server = server

    def open(self) -> LockStore:
        resp.ask(self._server.port, "FLUSHALL")
        return RedisStore(self._server.url, timeout=30.0)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as started:
        yield started


def fails(server: Redis, test: str) -> bool:
    run: Callable[[], None] = getattr(Suite(server), test)
    try:
        run()
    except Exception:
        return True
    return False


@pytest.mark.parametrize("rule", PLAIN)
def test_a_rule_that_is_switched_off_is_found(server: Redis, rule: str) -> None:
    change, test = PLAIN[rule]
    assert not fails(server, test), "it fails with the rule, too"
    with changed(change):
        assert fails(server, test), f"without the rule that {rule}, {test} passes"


@pytest.mark.parametrize("rule", SHARED)
def test_a_rule_of_shared_locks_that_is_switched_off_is_found(server: Redis, rule: str) -> None:
    change, test = SHARED[rule]
    assert not fails(server, test), "it fails with the rule, too"
    with changed(change, shared=True):
        assert fails(server, test), f"without the rule that {rule}, {test} passes"


def test_fences_grow_while_the_clock_goes_back_an_hour_with_each_request(server: Redis) -> None:
    with changed((CLOCK, BACKWARD)):
        assert not fails(server, GREATER)
    with changed((CLOCK, BACKWARD), (FENCE, "now")):
        assert fails(server, GREATER), "the fence is the time alone, and nobody notices"
