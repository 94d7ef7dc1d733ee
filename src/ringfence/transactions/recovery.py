"""Recovery: resolve the prepared branches that a coordinator left behind, and say what was done.

It touches only transactions of its own name that no running coordinator will finish: those of older epochs. For
each it must win "aborted" in the decision store before it rolls anything back; when "committed" stands there, it
commits. A recovery that is itself interrupted, or runs beside another one, or beside a coordinator that was only
slow, does no harm: all follow the same row.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence.errors import HeuristicOutcome, InvalidValue, RingfenceError
from ringfence.protocol import Call, Effects, Parallel
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.timeouts import DEFAULT
from ringfence.transactions.two_phase import decide, named, put, report

AT_ONCE = 1000
"""How many transactions recovery decides in one request to the decision store."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A prepared branch that recovery brought to its end.

    Attributes:
        gid: the transaction.
        branch: the participant's name.
        outcome: what it came to.
    """

    gid: str
    branch: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.gid} {self.outcome} on {self.branch}"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something that recovery could not do; run it again when the reason is gone.

    Attributes:
        gid: the transaction; None when a participant could not even say what is prepared there.
        branch: the participant's name.
        error: why.
    """

    gid: str | None
    branch: str
    error: RingfenceError

    def __str__(self) -> str:
        return f"{self.gid or 'everything'} left on {self.branch}: {self.error}"


@dataclass(slots=True)
class Recovery:
    """What a recovery did: iterate over it for the branches it resolved, print it to read it.

    Attributes:
        resolved: branches brought to their end.
        unresolved: branches, or whole participants, that could not be.
    """

    resolved: list[Resolved] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)

    @property
    def committed(self) -> int:
        """How many branches were committed."""
        return sum(branch.outcome is Outcome.COMMITTED for branch in self.resolved)

    @property
    def aborted(self) -> int:
        """How many branches were rolled back."""
        return len(self.resolved) - self.committed

    def __iter__(self) -> Iterator[Resolved]:
        return iter(self.resolved)

    def __len__(self) -> int:
        return len(self.resolved)

    def __str__(self) -> str:
        total = f"{self.committed} committed, {self.aborted} rolled back, {len(self.unresolved)} left"
        return "\n".join([total, *map(str, self.resolved), *map(str, self.unresolved)])


def recover(
    name: str,
    epoch: int,
    participants: Mapping[str, Participant],
    decisions: DecisionStore,
    running: Container[str] = (),
) -> Effects[Recovery]:
    """Resolve every prepared branch of the coordinator `name` that no running coordinator will finish.

    Args:
        name: the coordinator whose branches these are.
        epoch: its newest epoch, taken from the decision store by the caller.
        participants: where to look, by name.
        decisions: the arbiter.
        running: the gids of `epoch` that are still at work in this process.
    """
    done = Recovery()
    found = yield from _prepared(name, participants, done)
    left = []
    for gid, branches in found.items():
        parsed = Gid.parse(gid)
        if parsed.name == name and parsed.epoch > epoch:
            done.unresolved.extend(Unresolved(gid, branch, foreign(parsed, epoch)) for branch in branches)
        elif left_behind(parsed, name, epoch, running):
            left.append(gid)
    for first in range(0, len(left), AT_ONCE):
        some = {gid: found[gid] for gid in left[first : first + AT_ONCE]}
        yield from _resolve(some, participants, decisions, done)
    return done


def foreign(gid: Gid, newest: int) -> InvalidValue:
    """What to say of a gid that the decision store at hand never gave out: its decision stands elsewhere."""
    return InvalidValue(
        f"'{gid}' is not from this decision store: {gid.name!r} is at epoch {newest} there; put the right one back"
    )


def prefix(name: str) -> str:
    """What all gids of the coordinator `name` begin with, and those of no other."""
    return f"{name}."


def left_behind(gid: Gid, name: str, epoch: int, running: Container[str]) -> bool:
    """Will no running coordinator finish this one? Then it is ours to resolve."""
    return gid.name == name and (gid.epoch < epoch or (gid.epoch == epoch and str(gid) not in running))


def outcome(
    gid: str,
    participants: Mapping[str, Participant],
    decisions: DecisionStore,
    over: bool,
) -> Effects[Outcome]:
    """Find out what became of `gid`, without guessing.

    Args:
        gid: the transaction.
        participants: where it may have committed in one phase, by name.
        decisions: the arbiter.
        over: this process ran it and is done with it, so nobody is at work on it any more.

    Returns:
        `IN_DOUBT` while its coordinator may still be at work. When that one is gone, "no trace" is made to mean
        "aborted", durably, before it is said.

    Raises:
        InvalidValue: no coordinator of that name and epoch ever started here.
    """
    standing: Outcome | None = yield Call(decisions, "get", (gid,))
    if standing is not None:
        return standing
    parsed = Gid.parse(gid)
    newest = yield Call(decisions, "epoch", (parsed.name,))
    if parsed.epoch > newest:
        raise foreign(parsed, newest)
    gone = over or parsed.epoch < newest
    answers = yield from _ask_all(participants, "settle" if gone else "settled", gid)
    if Outcome.COMMITTED in answers:
        return Outcome.COMMITTED
    return (yield from decide(gid, Outcome.ABORTED, decisions)) if gone else Outcome.IN_DOUBT


def _ask_all(
    participants: Mapping[str, Participant], operation: str, gid: str
) -> Effects[list[Outcome | None]]:
    answers = yield Parallel(tuple(Call(store, operation, (gid,)) for store in participants.values()))
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return list(answers)


def _prepared(
    name: str, participants: Mapping[str, Participant], done: Recovery
) -> Effects[dict[str, list[str]]]:
    """The names of the participants on which each gid of the coordinator `name` is prepared."""
    calls = tuple(Call(participant, "recover", (prefix(name),)) for participant in participants.values())
    found: dict[str, list[str]] = {}
    for branch, answer in zip(participants, (yield Parallel(calls)), strict=True):
        if isinstance(answer, RingfenceError):
            done.unresolved.append(Unresolved(None, branch, answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for gid in answer:
                found.setdefault(gid, []).append(branch)
    return found


def _resolve(
    found: Mapping[str, list[str]],
    participants: Mapping[str, Participant],
    decisions: DecisionStore,
    done: Recovery,
) -> Effects[None]:
    """Bring the transactions `found`, each prepared on the participants of those names, to their ends."""
    try:
        outcomes = yield from settle(list(found), decisions)
    except RingfenceError as error:
        done.unresolved.extend(
            Unresolved(gid, branch, error) for gid, names in found.items() for branch in names
        )
        return
    standing = dict(zip(found, outcomes, strict=True))
    for outcome in (Outcome.COMMITTED, Outcome.ABORTED):
        told = {
            name: [gid for gid in found if standing[gid] is outcome and name in found[gid]]
            for name in participants
        }
        yield from tell_many(told, outcome, participants, decisions, done)
    aborted = [gid for gid in found if standing[gid] is Outcome.ABORTED]
    yield from _look_for_strays(aborted, found, participants, decisions, done)


def _look_for_strays(
    aborted: Sequence[str],
    found: Mapping[str, list[str]],
    participants: Mapping[str, Participant],
    decisions: DecisionStore,
    done: Recovery,
) -> Effects[None]:
    """Find branches of aborted transactions that somebody committed by hand, where nothing is prepared any more."""
    missing = {name: [gid for gid in aborted if name not in found[gid]] for name in participants}
    strays = Recovery()
    yield from tell_many(missing, Outcome.ABORTED, participants, decisions, strays)
    done.unresolved += [left for left in strays.unresolved if isinstance(left.error, HeuristicOutcome)]


def settle(gids: Sequence[str], decisions: DecisionStore) -> Effects[list[Outcome]]:
    """The outcomes that recovery follows: those that stand already, or the aborts that it wins now."""
    rows = [(gid, Outcome.ABORTED) for gid in gids]
    outcomes: list[Outcome] = yield from put(gids[0], Call(decisions, "put_many", (rows,)), DEFAULT.decide)
    return outcomes


def tell_many(
    told: Mapping[str, Sequence[str]],
    outcome: Outcome,
    participants: Mapping[str, Participant],
    decisions: DecisionStore,
    done: Recovery,
) -> Effects[None]:
    """Tell each participant the outcome of its prepared branches, all of them at once; add to `done` what came of it.

    Args:
        told: gids by the names of the participants.
        outcome: of all of them.
        participants: by name.
        decisions: where heuristic outcomes are reported.
        done: what was done so far.
    """
    whole = [name for name, gids in told.items() if gids and hasattr(participants[name], "resolve_many")]
    calls = tuple(Call(participants[name], "resolve_many", (told[name], outcome)) for name in whole)
    for name, answers in zip(whole, (yield Parallel(calls)), strict=True):
        for gid, answer in _each(told[name], answers):
            yield from note(gid, name, outcome, answer, decisions, done)
    single = {name: gids for name, gids in told.items() if name not in whole}
    operation = "commit" if outcome is Outcome.COMMITTED else "rollback"
    for number in range(max(map(len, single.values()), default=0)):
        turn = [(name, gids[number]) for name, gids in single.items() if number < len(gids)]
        answers = yield Parallel(tuple(Call(participants[name], operation, (gid,)) for name, gid in turn))
        for (name, gid), answer in zip(turn, answers, strict=True):
            yield from note(gid, name, outcome, answer, decisions, done)


def _each(gids: Sequence[str], answers: Any) -> Iterator[tuple[str, Any]]:
    """What came of each gid; when the request failed as a whole, that for all of them."""
    return zip(gids, [answers] * len(gids) if isinstance(answers, BaseException) else answers, strict=True)


def note(
    gid: str, branch: str, outcome: Outcome, answer: Any, decisions: DecisionStore, done: Recovery
) -> Effects[None]:
    """Add to `done` what came of telling a branch the outcome, and report one that ended otherwise."""
    if isinstance(answer, HeuristicOutcome):
        answer = named(gid, branch, answer)
        yield from report(answer, decisions)
    if isinstance(answer, RingfenceError):
        done.unresolved.append(Unresolved(gid, branch, answer))
    elif isinstance(answer, BaseException):
        raise answer
    else:
        done.resolved.append(Resolved(gid, branch, outcome))
