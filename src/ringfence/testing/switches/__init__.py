"""The safety rules of the design, and how to play without one of them.

Each switch is a context manager under which one rule does not hold: it replaces one small function of the product,
for as long as it lasts. The product itself has no flags. A simulator that finds nothing wrong proves little, unless
it finds what is wrong when a rule is off; the tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from ringfence.testing.switches import cluster, locks, transactions


class Switch(NamedTuple):
    """A safety rule that can be switched off.

    Attributes:
        off: while this context lasts, the rule does not hold.
        workload: shows what goes wrong then.
    """

    off: Callable[[], AbstractContextManager[None]]
    workload: str


SWITCHES: Mapping[str, Switch] = {
    "fences-grow": Switch(locks.fences_grow, "locks"),
    "holder-is-owner-and-fence": Switch(locks.holder_is_owner_and_fence, "locks"),
    "deadline-from-before": Switch(locks.deadline_from_before, "locks"),
    "pushed-deadline-from-before": Switch(locks.pushed_deadline_from_before, "locks"),
    "first-come-first-served": Switch(locks.first_come_first_served, "locks"),
    "withdrawn-leaves-queue": Switch(locks.withdrawn_leaves_queue, "locks"),
    "shares-fit": Switch(locks.shares_fit, "shares"),
    "shares-wait-their-turn": Switch(locks.shares_wait_their_turn, "shares"),
    "handed-on-within-block": Switch(locks.handed_on_within_block, "cohorts"),
    "lost-at-deadline": Switch(locks.lost_at_deadline, "locks"),
    "owner-asks-again": Switch(locks.owner_asks_again, "locks"),
    "unanswered-is-asked-again": Switch(locks.unanswered_is_asked_again, "locks"),
    "always-a-ttl": Switch(locks.always_a_ttl, "locks"),
    "guard-compares-fences": Switch(locks.guard_compares_fences, "locks"),
    "decide-before-telling": Switch(transactions.decide_before_telling, "two_phase"),
    "put-if-absent": Switch(transactions.put_if_absent, "recovery"),
    "win-before-rollback": Switch(transactions.win_before_rollback, "two_phase"),
    "loser-follows-winner": Switch(transactions.loser_follows_winner, "recovery"),
    "own-name-older-epochs": Switch(transactions.own_name_older_epochs, "recovery"),
    "stale-never-commits": Switch(transactions.stale_never_commits, "recovery"),
    "gid-never-reused": Switch(transactions.gid_never_reused, "two_phase"),
    "silence-is-no-abort": Switch(transactions.silence_is_no_abort, "two_phase"),
    "one-phase-is-settled": Switch(transactions.one_phase_is_settled, "two_phase"),
    "others-prepare-before-the-marker": Switch(transactions.others_prepare_before_the_marker, "takeover"),
    "no-trace-is-made-abort": Switch(transactions.no_trace_is_made_abort, "recovery"),
    "marker-is-settled": Switch(transactions.marker_is_settled, "takeover"),
    "marker-follows-the-row": Switch(transactions.marker_follows_the_row, "takeover"),
    "failed-fsync-ends-deciding": Switch(transactions.failed_fsync_ends_deciding, "two_phase"),
    "failed-statement-votes-no": Switch(transactions.failed_statement_votes_no, "two_phase"),
    "newer-ring-refuses-older": Switch(cluster.newer_ring_refuses_older, "rebalance"),
    "prepared-work-stops-others": Switch(cluster.prepared_work_stops_others, "rebalance"),
    "source-before-target": Switch(cluster.source_before_target, "rebalance"),
    "newer-lease-refuses-older": Switch(cluster.newer_lease_refuses_older, "rebalance"),
    "keys-are-read-twice": Switch(cluster.keys_are_read_twice, "rebalance"),
    "put-leaves-no-copy": Switch(cluster.put_leaves_no_copy, "rebalance"),
}
