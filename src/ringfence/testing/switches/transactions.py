"""Switches for the rules of transactions (the decision row, gids, recovery, votes)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from ringfence.errors import Aborted
from ringfence.protocol import Call, Effects, Now, Parallel
from ringfence.testing.switches.replaced import replaced
from ringfence.transactions import recovery, two_phase
from ringfence.transactions.decisions import DecisionStore, recorded
from ringfence.transactions.decisions import memory as decisions_in_memory
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.decisions.poison import Poison
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.participants import memory as participant_in_memory
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.two_phase import Ending, Enlisted


def decide_before_telling() -> AbstractContextManager[None]:
    """Transactions 1: "committed" stands in the decision store before any branch is told.

    Off, the branches are told without it: the coordinator crashes between two of them, recovery finds no decision,
    and rolls the second one back.
    """

    def undecided(gid: str, outcome: Outcome, decisions: DecisionStore, _: float = 0.0) -> Effects[Outcome]:
        yield Call(decisions, "get", (gid,))
        return outcome

    return replaced(two_phase, "decide", undecided)


def put_if_absent() -> AbstractContextManager[None]:
    """Transactions 1: the first decision stands for ever.

    Off, the last one does: recovery turns a commit that some branches heard of into an abort.
    """

    def put(store: MemoryDecisions, gid: str, outcome: Outcome) -> Outcome:
        outcome = recorded(gid, outcome, store.epoch(Gid.parse(gid).name))
        store._outcomes[gid] = outcome
        return outcome

    return replaced(MemoryDecisions, "put_if_absent", put)


def win_before_rollback() -> AbstractContextManager[None]:
    """Transactions 1: recovery must win "aborted" in the decision store before it rolls anything back.

    Off, it takes a missing decision for an abort: a coordinator that was only slow commits the other branches.
    """

    def look(gids: Sequence[str], decisions: DecisionStore) -> Effects[list[Outcome]]:
        standing = yield Parallel(tuple(Call(decisions, "get", (gid,)) for gid in gids))
        return [row if isinstance(row, Outcome) else Outcome.ABORTED for row in standing]

    return replaced(recovery, "settle", look)


def loser_follows_winner() -> AbstractContextManager[None]:
    """Transactions 1: a coordinator that finds another decision in the store follows that one.

    Off, it goes on with its own: it commits the branches that recovery has not reached yet.
    """
    decide = two_phase.decide

    def insist(gid: str, outcome: Outcome, decisions: DecisionStore, _: float = 0.0) -> Effects[Outcome]:
        yield from decide(gid, outcome, decisions)
        return outcome

    return replaced(two_phase, "decide", insist)


@contextmanager
def own_name_older_epochs() -> Iterator[None]:
    """Transactions 2: recovery touches its own name and what its newest epoch left behind, nothing else.

    Off, it aborts the transactions of a coordinator that is alive and well.
    """
    with replaced(recovery, "prefix", lambda _: ""), replaced(recovery, "left_behind", lambda *_: True):
        yield


def stale_never_commits() -> AbstractContextManager[None]:
    """Transactions 2: a coordinator whose name has a newer epoch commits nothing any more.

    Off, a zombie goes on beside the one that took over from it.
    """
    return replaced(decisions_in_memory, "recorded", lambda gid, outcome, newest: outcome)  # noqa: ARG005


def gid_never_reused() -> AbstractContextManager[None]:
    """Transactions 2: every start has an epoch of its own, so no gid is used twice.

    Off, a coordinator that was started again uses its gids again, and finds the decisions of the first time.
    """

    def same_epoch(store: MemoryDecisions, name: str) -> int:
        store._epochs[name] = 1
        return 1

    return replaced(MemoryDecisions, "begin_epoch", same_epoch)


def silence_is_no_abort() -> AbstractContextManager[None]:
    """Transactions 4: a decision that was not answered is in doubt.

    Off, it is reported as aborted, and then recovery finds it committed.
    """
    return replaced(two_phase, "unknown_decision", lambda gid, error: Aborted(gid, str(error)))


def one_phase_is_settled() -> AbstractContextManager[None]:
    """Transactions 4: what became of a one-phase commit that was not answered is found out.

    Off, it is reported as aborted, though the participant may have carried it out.
    """

    def give_up(gid: str, branch: Enlisted, error: Exception, ending: Ending) -> Effects[None]:
        yield from two_phase.roll_back(gid, [branch], ending)
        raise Aborted(gid, str(error))

    return replaced(two_phase, "_settle", give_up)


def others_prepare_before_the_marker() -> AbstractContextManager[None]:
    """Transactions 3: the marker's own commit decides when all the others have prepared, and not before.

    Off, they are told of a commit that they never promised, and what they did is lost.
    """
    prepare = two_phase._prepare

    def hasty(
        gid: str, branches: Sequence[Enlisted], asked: Sequence[Enlisted], ending: Ending
    ) -> Effects[list[Enlisted]]:
        if len(asked) < len(branches):  # the one that is left out decides
            return list(asked)
        return (yield from prepare(gid, branches, asked, ending))

    return replaced(two_phase, "_prepare", hasty)


def no_trace_is_made_abort() -> AbstractContextManager[None]:
    """Transactions 3: no trace of a transaction means aborted, once it is made sure that none can appear.

    Off, "aborted" is reported while a commit is still on its way.
    """

    def look(participants: Mapping[str, Participant], _: str, gid: str) -> Effects[Sequence[Outcome | None]]:
        calls = tuple(Call(participant, "settled", (gid,)) for participant in participants.values())
        answers: Sequence[Outcome | None] = yield Parallel(calls)
        return answers

    return replaced(recovery, "_ask_all", look)


def marker_is_settled() -> AbstractContextManager[None]:
    """Transactions 3: what became of a marker's decision that was not answered is asked of the decision store.

    Off, it is taken for an abort, though the marker may have committed its work, and the row with it.
    """

    def give_up(gid: str, error: Exception, ending: Ending) -> Effects[Outcome]:  # noqa: ARG001
        yield Now()
        return Outcome.ABORTED

    return replaced(two_phase, "_settle_decision", give_up)


def marker_follows_the_row() -> AbstractContextManager[None]:
    """Transactions 3: a marker commits its work only together with the row "committed".

    Off, it commits it whatever stands: recovery has won "aborted", and rolls the others back.
    """

    def decide(marker: MemoryParticipant, gid: str) -> Outcome:
        marker.decision_store().put_if_absent(gid, Outcome.COMMITTED)
        marker.one_phase(gid)
        return Outcome.COMMITTED

    return replaced(MemoryParticipant, "decide", decide)


def failed_fsync_ends_deciding() -> AbstractContextManager[None]:
    """Transactions 5: after a failed fsync a process decides nothing more.

    Off, it asks again, the next fsync succeeds without writing, and after a restart the decision is gone.
    """
    return replaced(Poison, "check", lambda _: None)


def failed_statement_votes_no() -> AbstractContextManager[None]:
    """Transactions 6: a branch in which a statement failed votes no, even if the application caught the error.

    Off, the transaction commits without what that statement should have done.
    """
    return replaced(participant_in_memory, "refuse_failed", lambda _: None)
