"""Two-phase commit, as a generator of effects.

::

    open ──prepare──▶ prepared ──decision row──▶ committed ──commit──▶ over
     │                   │            └────────▶ aborted ───rollback─▶ over
     └────rollback───────┘

1. Every branch prepares. A refusal, or no answer, aborts: nobody was told to commit, so nothing need be recorded
   (presumed abort).
2. "Committed" is put into the decision store if nothing stands there. That row, and nothing else, is the decision:
   it is put before anyone is told, and what stands there is followed. An answer that does not come is never
   taken for an abort.
3. The branches are told. One that cannot be reached stays prepared, and recovery tells it later.

Branches that only read are left out of the second phase; a single writing branch commits in one phase, and its own
commit is the decision. (Mohan, Lindsay, Obermarck, "Transaction management in the R* distributed database
management system", TODS 1986.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.errors import Aborted, InDoubt, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.protocol import Call, Effects, Parallel, Sleep
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Participant

ASK_AGAIN = (0.0, 0.02, 0.1)
"""Seconds to wait before each further attempt at a request that was not answered."""


@dataclass(frozen=True, slots=True)
class Enlisted:
    """A branch as the protocol sees it.

    Attributes:
        name: the participant's name in this transaction.
        participant: who is asked.
        wrote: its branch tried to change something.
    """

    name: str
    participant: Participant
    wrote: bool


def commit(gid: str, branches: Sequence[Enlisted], decisions: DecisionStore) -> Effects[None]:
    """Commit the transaction on all branches, or on none.

    It returns once the decision is durable and every branch has followed, or did not answer for a while: such a
    branch stays prepared, in nobody's sight, until recovery commits it.

    Raises:
        Aborted: on none; it may be run again.
        InDoubt: no answer came to the decision; prepared branches stay prepared until recovery resolves them.
        HeuristicOutcome: it is committed, and a branch cannot follow; its work is kept.
    """
    writers = [branch for branch in branches if branch.wrote]
    if len(branches) == len(writers) == 1:
        return (yield from _one_phase(gid, writers[0]))
    yield from _prepare(
        gid, branches, [branch for branch in branches if len(writers) > 1 or not branch.wrote]
    )
    if len(writers) > 1:
        yield from _finish(gid, writers, decisions)
    elif writers:
        yield from _one_phase(gid, writers[0])
    return None


def roll_back(gid: str, branches: Sequence[Enlisted]) -> Effects[None]:
    """Give up the transaction on all branches; a prepared one that does not answer is left to recovery."""
    yield from _tell("rollback", gid, branches)


def decide(gid: str, outcome: Outcome, decisions: DecisionStore) -> Effects[Outcome]:
    """Put `outcome` into the decision store unless one stands there; return the one that stands.

    Raises:
        InDoubt: a request was not answered, and nor was the same one asked again.
        StoreError: the store refused, and nothing was recorded.
    """
    unanswered: StoreError | None = None
    for pause in (0.0, *ASK_AGAIN):
        if unanswered is not None:
            yield Sleep(pause)
        try:
            standing: Outcome = yield Call(decisions, "put_if_absent", (gid, outcome))
        except StoreError as error:
            if unanswered is None and not isinstance(error, OutcomeUnknown):
                raise
            unanswered = error  # a refusal of a further request says nothing about the first
        else:
            return standing
    raise unknown_decision(gid, unanswered) from unanswered


def unknown_decision(gid: str, unanswered: StoreError | None) -> Exception:
    """What no answer from the decision store means: nothing that anyone may act upon."""
    return InDoubt(gid, f"the decision store did not answer: {unanswered}")


def _prepare(gid: str, branches: Sequence[Enlisted], asked: Sequence[Enlisted]) -> Effects[None]:
    """Ask for votes; roll back all `branches` unless every one of them is for it."""
    try:
        votes = yield Parallel(tuple(Call(branch.participant, "prepare", (gid,)) for branch in asked))
    except BaseException:
        yield from roll_back(gid, branches)
        raise
    for branch, vote in zip(asked, votes, strict=True):
        if refused(vote):
            yield from roll_back(gid, branches)
            raise _against(gid, branch, vote) from (vote if isinstance(vote, Exception) else None)


def refused(vote: Any) -> bool:
    """Is that anything but a vote for committing?"""
    return vote is not Vote.YES and vote is not Vote.READ_ONLY


def _against(gid: str, branch: Enlisted, vote: Any) -> Aborted:
    reason = vote.reason if isinstance(vote, Aborted) else vote
    retryable = vote.retryable if isinstance(vote, Aborted) else isinstance(vote, StoreTimeout)
    return Aborted(gid, f"branch {branch.name!r} voted against it: {reason}", retryable)


def _finish(gid: str, writers: Sequence[Enlisted], decisions: DecisionStore) -> Effects[None]:
    try:
        outcome = yield from decide(gid, Outcome.COMMITTED, decisions)
    except StoreError as error:
        yield from roll_back(gid, writers)
        raise Aborted(gid, f"the decision store refused: {error}") from error
    if outcome is not Outcome.COMMITTED:
        yield from roll_back(gid, writers)
        raise Aborted(
            gid, "another coordinator of this name, or recovery, decided so; give each process a name"
        )
    yield from _tell("commit", gid, writers)


def _tell(operation: str, gid: str, branches: Sequence[Enlisted]) -> Effects[None]:
    """Tell the branches how it ends; again those that did not answer, and then leave them to recovery."""
    left = list(branches)
    for pause in (*ASK_AGAIN, None):
        answers = yield Parallel(tuple(Call(branch.participant, operation, (gid,)) for branch in left))
        left = [branch for branch, answer in zip(left, answers, strict=True) if _unanswered(answer)]
        if not left or pause is None:
            return
        yield Sleep(pause)


def _unanswered(answer: Any) -> bool:
    """Did the store fail to answer? Any other failure is raised."""
    if isinstance(answer, BaseException) and not isinstance(answer, StoreError):
        raise answer
    return answer is not None


def _one_phase(gid: str, branch: Enlisted) -> Effects[None]:
    try:
        yield Call(branch.participant, "one_phase", (gid,))
    except OutcomeUnknown as error:
        yield from _settle(gid, branch, error)
    except BaseException as error:
        yield from roll_back(gid, [branch])
        if not isinstance(error, Exception):
            raise
        raise Aborted(gid, f"branch {branch.name!r} refused to commit: {error}") from error


def _settle(gid: str, branch: Enlisted, unanswered: OutcomeUnknown) -> Effects[None]:
    """Find out what became of a commit that was not answered; what did not happen by now never will."""
    for pause in ASK_AGAIN:
        yield Sleep(pause)
        try:
            outcome = yield Call(branch.participant, "settle", (gid,))
        except StoreError:
            continue
        if outcome is not Outcome.COMMITTED:
            yield from roll_back(gid, [branch])
            raise Aborted(gid, f"branch {branch.name!r} did not commit: {unanswered}") from unanswered
        return
    raise InDoubt(gid, f"branch {branch.name!r} did not answer: {unanswered}") from unanswered
