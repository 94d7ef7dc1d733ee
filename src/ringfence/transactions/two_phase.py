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
commit is the decision. Where the decision row lives in the database of a writing branch (the *marker*), that branch is
not prepared: its own commit carries the row. (Mohan, Lindsay, Obermarck, "Transaction management in the R* distributed
database management system", TODS 1986; the marker is what Narayana calls a commit-markable resource.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.errors import Aborted, HeuristicOutcome, InDoubt, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.protocol import Call, Effects, Now, Parallel, Sleep
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Participant
from ringfence.transactions.timeouts import DEFAULT, Timeouts, pauses


@dataclass(slots=True)
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


@dataclass(slots=True)
class Ending:
    """How transactions of a coordinator end.

    Attributes:
        decisions: the arbiter.
        marker: the name of the participant whose local transaction can carry the decision, if there is one.
        timeouts: how long the phases may take.
    """

    decisions: DecisionStore
    marker: str | None = None
    timeouts: Timeouts = DEFAULT


def agree(gid: str, branches: Sequence[Enlisted], ending: Ending) -> Effects[list[Enlisted]]:
    """Come to a durable decision for the transaction.

    Returns:
        Once it is committed: the branches that are still prepared and have to be told.

    Raises:
        Aborted: it is on none of the branches; it may be run again.
        InDoubt: no answer came to the decision; prepared branches stay prepared until recovery resolves them.
        HeuristicOutcome: it is aborted, and somebody committed a prepared branch by hand; or somebody decided by hand
            that it commits, and the work of the branch whose own commit decides is lost. The others have followed.
    """
    writers = [branch for branch in branches if branch.wrote]
    last = _last(writers, ending.marker)
    prepared = yield from _prepare(
        gid, branches, [branch for branch in branches if branch is not last], ending
    )
    if last is not None and prepared and last.name != ending.marker:  # one that said it only read has not
        prepared += yield from _prepare(gid, branches, [last], ending)
        last = None
    if last is None:
        if prepared:
            yield from _decide(gid, prepared, ending)
    elif prepared:
        yield from _decide_at(gid, last, prepared, ending)
    else:
        yield from _one_phase(gid, last, ending)
    return prepared


def _last(writers: Sequence[Enlisted], marker: str | None) -> Enlisted | None:
    """The branch that is not prepared, because its own commit decides."""
    if len(writers) == 1:
        return writers[0]
    for branch in writers:
        if branch.name == marker:
            return branch
    return None


def finish(gid: str, branches: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    """Tell the prepared branches of a transaction that it is committed.

    One that does not answer for a while stays prepared, in nobody's sight, until recovery commits it.

    Raises:
        HeuristicOutcome: a branch did not follow, or cannot; that was reported to the decision store.
    """
    yield from _tell("commit", gid, branches, ending)


def roll_back(gid: str, branches: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    """Give up the transaction on all branches; a prepared one that does not answer is left to recovery.

    Raises:
        HeuristicOutcome: somebody committed a branch by hand; that was reported to the decision store.
    """
    yield from _tell("rollback", gid, branches, ending)


def compare_fences(
    gid: str, branches: Sequence[Enlisted], fences: Sequence[tuple[str, int]], ending: Ending
) -> Effects[None]:
    """Have each branch compare `fences`, of resource and fence, with its marks when it prepares or commits."""
    for branch in branches:
        for resource, fence in fences:
            try:
                yield Call(branch.participant, "guard", (gid, resource, fence))
            except BaseException as error:
                yield from roll_back(gid, branches, ending)
                if not isinstance(error, Exception):
                    raise
                raise _against(gid, branch, error) from error


def decide(
    gid: str, outcome: Outcome, decisions: DecisionStore, seconds: float = DEFAULT.decide
) -> Effects[Outcome]:
    """Put `outcome` into the decision store unless one stands there; return the one that stands.

    Raises:
        InDoubt: a request was not answered, and nor was the same one asked again.
        StoreError: the store refused, and nothing was recorded.
    """
    standing: Outcome = yield from put(gid, Call(decisions, "put_if_absent", (gid, outcome)), seconds)
    return standing


def put(gid: str, request: Call, seconds: float) -> Effects[Any]:
    """Have the decision store carry out `request`, which is about `gid`; ask again while it is not answered.

    Raises:
        InDoubt: a request was not answered, and nor was the same one asked again.
        StoreError: the store refused, and nothing was recorded.
    """
    try:
        return (yield request)
    except OutcomeUnknown as error:
        unanswered: StoreError = error
    for pause in pauses(seconds):
        yield Sleep(pause)
        try:
            return (yield request)
        except StoreError as error:
            unanswered = error  # a refusal of a further request says nothing about the first
    raise unknown_decision(gid, unanswered) from unanswered


def unknown_decision(gid: str, unanswered: StoreError | None) -> Exception:
    """What no answer from the decision store means: nothing that anyone may act upon."""
    return InDoubt(gid, f"the decision store did not answer: {unanswered}")


def _prepare(
    gid: str, branches: Sequence[Enlisted], asked: Sequence[Enlisted], ending: Ending
) -> Effects[list[Enlisted]]:
    """Ask for votes; roll back all `branches` unless every one of them is for it. Return who is prepared."""
    if not asked:
        return []
    limit = ending.timeouts.prepare
    started = 0.0 if limit is None else (yield Now())
    try:
        votes = yield Parallel(tuple([Call(branch.participant, "prepare", (gid,)) for branch in asked]))
    except BaseException:
        yield from roll_back(gid, branches, ending)
        raise
    prepared = []
    for branch, vote in zip(asked, votes, strict=True):
        if refused(vote):
            yield from roll_back(gid, branches, ending)
            raise _against(gid, branch, vote) from (vote if isinstance(vote, Exception) else None)
        if vote is not Vote.READ_ONLY:
            prepared.append(branch)
    if limit is not None and (yield Now()) - started > limit:
        yield from roll_back(gid, branches, ending)
        raise Aborted(gid, f"its branches took more than {limit} s to prepare", retryable=True)
    return prepared


def refused(vote: Any) -> bool:
    """Is that anything but a vote for committing?"""
    return vote is not Vote.YES and vote is not Vote.READ_ONLY


def _against(gid: str, branch: Enlisted, vote: Any) -> Aborted:
    reason = vote.reason if isinstance(vote, Aborted) else vote
    return Aborted(gid, f"branch {branch.name!r} voted against it: {reason}", _is_retryable(vote))


def _is_retryable(error: Any) -> bool:
    return error.retryable if isinstance(error, Aborted) else isinstance(error, StoreTimeout)


def _decide(gid: str, prepared: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    try:
        outcome = yield from decide(gid, Outcome.COMMITTED, ending.decisions, ending.timeouts.decide)
    except StoreError as error:
        yield from roll_back(gid, prepared, ending)
        raise Aborted(gid, f"the decision store refused: {error}", _is_retryable(error)) from error
    yield from _follow(outcome, gid, prepared, ending)


def _decide_at(gid: str, marker: Enlisted, prepared: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    """Let the marker's own commit decide. Should it not answer, whatever row can be put now is the decision."""
    everyone = [*prepared, marker]
    try:
        outcome = yield Call(marker.participant, "decide", (gid,))
    except OutcomeUnknown as error:
        outcome = yield from _settle_decision(gid, error, ending)
    except HeuristicOutcome as error:
        lost = named(gid, marker.name, error)
        yield from report(lost, ending.decisions)
        yield from finish(gid, prepared, ending)
        raise lost from error
    except Exception as error:
        yield from roll_back(gid, everyone, ending)
        raise _against(gid, marker, error) from error
    except BaseException:  # an interrupt: it may have decided, so the others wait for recovery
        yield from roll_back(gid, [marker], ending)
        raise
    yield from _follow(outcome, gid, everyone, ending)


def _settle_decision(gid: str, unanswered: OutcomeUnknown, ending: Ending) -> Effects[Outcome]:
    try:
        return (yield from decide(gid, Outcome.ABORTED, ending.decisions, ending.timeouts.decide))
    except StoreError as error:
        raise unknown_decision(gid, unanswered) from error


def _follow(outcome: Outcome, gid: str, branches: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    if outcome is not Outcome.COMMITTED:
        yield from roll_back(gid, branches, ending)
        raise Aborted(
            gid, "another coordinator of this name, or recovery, decided so; give each process a name"
        )


def _tell(operation: str, gid: str, branches: Sequence[Enlisted], ending: Ending) -> Effects[None]:
    """Tell the branches how it ends; again those that did not answer, and then leave them to recovery."""
    left, failed = yield from _ask(operation, gid, branches)
    if left:
        for pause in pauses(ending.timeouts.commit):
            yield Sleep(pause)
            left, more = yield from _ask(operation, gid, left)
            failed += more
            if not left:
                break
    for error in failed:
        if isinstance(error, HeuristicOutcome):
            yield from report(error, ending.decisions)
    for error in failed:
        raise error


def _ask(
    operation: str, gid: str, branches: Sequence[Enlisted]
) -> Effects[tuple[list[Enlisted], list[BaseException]]]:
    """Tell the branches once; return those that did not answer, and what failed otherwise."""
    answers = yield Parallel(tuple([Call(branch.participant, operation, (gid,)) for branch in branches]))
    left: list[Enlisted] = []
    failed: list[BaseException] = []
    if answers.count(None) == len(answers):
        return left, failed
    for branch, answer in zip(branches, answers, strict=True):
        if isinstance(answer, HeuristicOutcome):
            failed.append(named(gid, branch.name, answer))
        elif isinstance(answer, StoreError):
            left.append(branch)
        elif isinstance(answer, BaseException):
            failed.append(answer)
    return left, failed


def named(gid: str, branch: str, error: HeuristicOutcome) -> HeuristicOutcome:
    """The error of a participant, with the name that it has here."""
    found = HeuristicOutcome(gid, branch, error.reason)
    found.__cause__ = error
    return found


def report(error: HeuristicOutcome, decisions: DecisionStore) -> Effects[None]:
    """Have the decision store keep what somebody has to look at; if it cannot, the error says that too."""
    for pause in pauses(DEFAULT.decide):
        yield Sleep(pause)
        try:
            yield Call(decisions, "report", (error.gid, error.branch, error.reason))
        except StoreError as unreported:
            reason = unreported
        else:
            return
    error.add_note(f"the decision store could not keep this: {reason}")


def _one_phase(gid: str, branch: Enlisted, ending: Ending) -> Effects[None]:
    try:
        yield Call(branch.participant, "one_phase", (gid,))
    except OutcomeUnknown as error:
        yield from _settle(gid, branch, error, ending)
    except BaseException as error:
        yield from roll_back(gid, [branch], ending)
        if not isinstance(error, Exception):
            raise
        reason = error.reason if isinstance(error, Aborted) else error
        raise Aborted(
            gid, f"branch {branch.name!r} refused to commit: {reason}", _is_retryable(error)
        ) from error


def _settle(gid: str, branch: Enlisted, unanswered: OutcomeUnknown, ending: Ending) -> Effects[None]:
    """Find out what became of a commit that was not answered; what did not happen by now never will."""
    for pause in pauses(ending.timeouts.decide):
        yield Sleep(pause)
        try:
            outcome = yield Call(branch.participant, "settle", (gid,))
        except StoreError:
            continue
        if outcome is not Outcome.COMMITTED:
            yield from roll_back(gid, [branch], ending)
            raise Aborted(gid, f"branch {branch.name!r} did not commit: {unanswered}") from unanswered
        return
    raise InDoubt(gid, f"branch {branch.name!r} did not answer: {unanswered}") from unanswered
