"""A service that is asked over HTTP as a participant; docs/participants.md has the rules it must keep.

Every request is a POST of a JSON object to `<url>/<operation>`; one that changes something has the header
`Idempotency-Key: gid:name:operation`. It is answered by a JSON object: with status 200, or 409 for a refusal; 429 and
503 say that nothing happened. Silence, and any other status from 500 on, leave it open what became of the request, and
it is sent again, as it may be at any time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

from ringfence._url import split
from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    FenceRejected,
    HeuristicOutcome,
    InvalidType,
    InvalidValue,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
)
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities

Json: TypeAlias = Any

SCHEMES = ("http", "https")
OK, CONFLICT = 200, 409
NOTHING_HAPPENED = (429, 503)
CHANGING = ("prepare", "one-phase", "commit", "rollback", "settle")
"""Operations that have an idempotency key: what the others are answered changes from request to request."""
PAUSES = (0.05, 0.2)
"""Seconds to wait before each further attempt."""


class HttpBranch:
    """A transaction's work on a service: what it is to do, sent when the branch is prepared.

    Attributes:
        gid: the transaction.
        work: what it is to do, in this order.
        marks: resource -> fence, to be compared when it is prepared.
        failed: what makes the branch vote against committing.
    """

    def __init__(self, gid: str, participant: HttpParticipant) -> None:
        self.gid = gid
        self.work: list[Json] = []
        self.marks: dict[str, int] = {}
        self.failed: Exception | None = None
        self._participant = participant

    @property
    def wrote(self) -> bool:
        """Is there anything to do? When a question failed, nobody knows what would have come of it."""
        return bool(self.work) or self.failed is not None

    def do(self, work: Json) -> None:
        """Let the service do something, which it is told as JSON.

        Raises:
            InvalidType: it is none.
        """
        self.work.append(json.loads(_dumped(work)))

    def ask(self, question: Json) -> Json:
        """Ask the service something, as if it had done the branch's work by now; return its answer.

        Raises:
            StoreError: it refused, or did not answer; the transaction cannot be committed any more.
        """
        body = {"gid": self.gid, "work": self.work, "question": question}
        try:
            return _field(self._participant.request("ask", self.gid, body), "answer")
        except Exception as error:
            self.failed = error
            raise


class HttpParticipant:
    """A `Participant` that is a service asked over HTTP. Needs urllib3 (extra `http`).

    Args:
        url: `http://…` or `https://…`; the names of the operations are put behind it.
        name: for the idempotency keys; the URL without its scheme if not given.
        timeout: seconds to wait for a connection and for each answer.
        headers: sent with each request, to say who asks for example.
        concurrent: what the service says of itself: it can have several branches prepared.
        durable: likewise; what it has acknowledged outlasts a power failure.

    Raises:
        InvalidType: the URL is not a string.
        InvalidValue: it is none of HTTP, or carries options.
        BackendUnavailable: urllib3 is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        concurrent: bool = True,
        durable: bool = True,
    ) -> None:
        split(url, SCHEMES)
        parts = urlsplit(url)
        if not parts.netloc or parts.query or parts.fragment:
            raise InvalidValue(f"{url!r} is not http://host/path, to which the names of operations are added")
        self.place = url.rstrip("/")
        self.capabilities = Capabilities(concurrent=concurrent, durable=durable)
        self._name = name or f"{parts.netloc}{parts.path}".rstrip("/")
        self._headers = {**(headers or {}), "Content-Type": "application/json"}
        self._driver = _driver()
        self._pool = self._driver.PoolManager(
            timeout=self._driver.Timeout(timeout), retries=False, maxsize=16
        )
        self._branches: dict[str, HttpBranch] = {}

    def begin(self, gid: str) -> HttpBranch:
        """Start the branch of `gid`; the service hears of it when there is something to ask or to do."""
        Gid.parse(gid)
        if gid in self._branches:
            raise InvalidValue(f"the branch of {gid} on {self.place} is open already")
        branch = self._branches[gid] = HttpBranch(gid, self)
        return branch

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Have the service compare a fence with its mark when the branch is prepared."""
        if gid not in self._branches:
            raise _not_open(gid)
        self._branches[gid].marks[resource] = fence

    def prepare(self, gid: str) -> Vote:
        """Ask the service to promise that it can do the work."""
        branch = self._branches.pop(gid, None)
        if branch is None:
            return self._prepared_before(gid)
        if not (branch.wrote or branch.marks):
            return Vote.READ_ONLY
        return _vote(self._with_work("prepare", branch).get("vote"))

    def one_phase(self, gid: str) -> None:
        """Have the service do the work at once."""
        branch = self._branches.pop(gid, None)
        if branch is not None:
            self._with_work("one-phase", branch)
        elif self.settled(gid) is not Outcome.COMMITTED:
            raise _not_open(gid)

    def commit(self, gid: str) -> None:
        """Tell the service to do what it has promised."""
        self._end("commit", gid)

    def rollback(self, gid: str) -> None:
        """Tell the service to forget the branch; one that it has not heard of is forgotten here."""
        if self._branches.pop(gid, None) is None:
            self._end("rollback", gid)

    def recover(self, prefix: str = "") -> list[str]:
        """Return the gids of the prepared branches that begin with a prefix."""
        found = _field(self.request("prepared", prefix, {"prefix": prefix}), "gids")
        if not isinstance(found, list):
            raise StoreError(f"{found!r} is no list of gids")
        return [gid for gid in found if _is_gid(gid) and gid.startswith(prefix)]

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed there in one phase, or never can be."""
        said = _field(self.request("settled", gid, {"gid": gid}), "outcome")
        return None if said is None else _outcome(said)

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return _outcome(_field(self.request("settle", gid, {"gid": gid}), "outcome"))

    def close(self) -> None:
        """Forget open branches, and close the connections. Closing twice is harmless."""
        self._branches.clear()
        self._pool.clear()

    def request(self, operation: str, gid: str, body: Json) -> dict[str, Json]:
        """Ask the service, again if it does not answer, and return its answer.

        Raises:
            BackendUnavailable: it cannot be reached; nothing was sent.
            StoreTimeout: it says that nothing happened, and is to be asked again.
            OutcomeUnknown: it did not answer; or, asked to commit in one phase, answered what is no answer, or refused
                after an attempt that it did not answer and may still carry out.
            StoreError: it refused.
        """
        unanswered: list[StoreError] = []
        for pause in (*PAUSES, None):
            try:
                return self._asked(operation, gid, body)
            except (OutcomeUnknown, StoreTimeout, BackendUnavailable) as error:
                unanswered.append(error)
                if pause is None:
                    raise _gravest(unanswered) from error
                time.sleep(pause)
            except StoreError as refusal:
                if operation == "one-phase" and (isinstance(refusal, Garbled) or any(_unknown(unanswered))):
                    raise OutcomeUnknown(
                        f"{refusal}; an attempt to commit may have been carried out"
                    ) from refusal
                raise
        raise AssertionError("the last attempt raises")

    def _asked(self, operation: str, gid: str, body: Json) -> dict[str, Json]:
        key = {"Idempotency-Key": f"{gid}:{self._name}:{operation}"} if operation in CHANGING else {}
        errors = self._driver.exceptions
        try:
            response = self._pool.request(
                "POST", f"{self.place}/{operation}", body=_dumped(body), headers={**self._headers, **key}
            )
        except (errors.NewConnectionError, errors.ConnectTimeoutError, errors.NameResolutionError) as error:
            raise BackendUnavailable(f"{self.place} cannot be reached ({error})") from error
        except errors.HTTPError as error:
            raise OutcomeUnknown(f"{self.place} did not answer ({error}); ask again") from error
        return _answer(self.place, response.status, response.data)

    def _with_work(self, operation: str, branch: HttpBranch) -> dict[str, Json]:
        if branch.failed is not None:
            raise Aborted(branch.gid, f"a question failed: {branch.failed}") from branch.failed
        body = {"gid": branch.gid, "work": branch.work, "fences": branch.marks}
        try:
            return self.request(operation, branch.gid, body)
        except _Refused as refusal:
            _raise_vote(branch, refusal.answer)

    def _end(self, operation: str, gid: str) -> None:
        try:
            self.request(operation, gid, {"gid": gid})
        except _Refused as refusal:
            raise HeuristicOutcome(gid, self.place, _reason(refusal.answer)) from refusal

    def _prepared_before(self, gid: str) -> Vote:
        if gid in self.recover(gid):
            return Vote.YES
        raise _not_open(gid)


class _Refused(StoreError):
    """The service refused with status 409."""

    def __init__(self, place: str, answer: dict[str, Json]) -> None:
        super().__init__(f"{place} refused: {_reason(answer)}")
        self.answer = answer


class Garbled(StoreError):
    """The service answered something that is no refusal, and nothing it may answer."""


def _answer(place: str, status: int, data: bytes) -> dict[str, Json]:
    if status in NOTHING_HAPPENED:
        raise StoreTimeout(f"{place} is busy (status {status}); nothing happened, try again")
    if status >= 500:
        raise OutcomeUnknown(f"{place} failed (status {status}); ask again")
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if status == CONFLICT:
        raise _Refused(place, answer if isinstance(answer, dict) else {})
    if status != OK or not isinstance(answer, dict):
        kind = Garbled if status < 400 else StoreError
        raise kind(f"{place} answered {data[:100]!r} (status {status}), and no object with status 200")
    return answer


def _raise_vote(branch: HttpBranch, answer: dict[str, Json]) -> NoReturn:
    resource, mark = str(answer.get("resource")), answer.get("mark")
    if isinstance(mark, int):
        raise FenceRejected(resource, branch.marks.get(resource, 0), mark)
    raise Aborted(branch.gid, _reason(answer), retryable=bool(answer.get("retryable")))


def _vote(said: Json) -> Vote:
    try:
        return Vote(said)
    except ValueError:
        raise StoreError(f"{said!r} is no vote; it is 'yes', 'read only' or 'no'") from None


def _outcome(said: Json) -> Outcome:
    try:
        return Outcome(said)
    except ValueError:
        raise StoreError(f"{said!r} is no outcome; it is 'committed' or 'aborted'") from None


def _field(answer: dict[str, Json], name: str) -> Json:
    if name not in answer:
        raise StoreError(f"the answer {answer!r} lacks {name!r}")
    return answer[name]


def _is_gid(said: Json) -> bool:
    """Is it one of ours? Others may use the service too, and one of them must not stop the recovery of all."""
    try:
        Gid.parse(said)
    except (InvalidValue, InvalidType):
        return False
    return True


def _reason(answer: dict[str, Json]) -> str:
    return str(answer.get("reason", "it gives no reason"))


def _gravest(errors: list[StoreError]) -> StoreError:
    """Of several attempts at one request, the one that leaves most open."""
    for error in _unknown(errors):
        return error
    return errors[-1]


def _unknown(errors: list[StoreError]) -> Iterator[StoreError]:
    return (error for error in errors if isinstance(error, OutcomeUnknown))


def _dumped(body: Json) -> str:
    try:
        return json.dumps(body)
    except (TypeError, ValueError) as error:
        raise InvalidType(f"a service is told JSON, not {body!r} ({error})") from error


def _not_open(gid: str) -> Aborted:
    return Aborted(gid, "its branch is not open here; its work was lost or given up")


def _driver() -> Any:
    try:
        import urllib3
    except ImportError as error:
        raise BackendUnavailable("HTTP needs urllib3; install ringfence[http]") from error
    return urllib3
